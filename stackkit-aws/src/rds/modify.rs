//! Changing a database instance in place, and telling when the change has come about.

use aws_sdk_rds::types::{DbInstance as Wire, PendingModifiedValues};
use stackkit::Context;

use super::instance::{BUSY, InstanceArgs, InstanceState, number};
use crate::connect::Aws;
use crate::error::Error;
use crate::wait::retry;

/// Sends what differs, to be applied at once. An optional input that is unset is left as it is.
pub(super) async fn modify(
    aws: &Aws,
    cx: &Context,
    id: &str,
    prior: &InstanceState,
    args: &InstanceArgs,
) -> Result<(), Error> {
    let mut anything = false;
    let mut changed = |differs: bool| {
        anything |= differs;
        differs
    };
    let mut call = aws.rds().modify_db_instance().db_instance_identifier(id).apply_immediately(true);
    if changed(prior.engine_version != args.engine_version) {
        let other_major = major(&prior.running_version) != major(&args.engine_version);
        call = call.engine_version(&args.engine_version).set_allow_major_version_upgrade(other_major.then_some(true));
    }
    if changed(prior.instance_class != args.instance_class) {
        call = call.db_instance_class(&args.instance_class);
    }
    if changed(prior.allocated_storage != args.allocated_storage) {
        call = call.allocated_storage(number(args.allocated_storage));
    }
    if changed(prior.max_allocated_storage != args.max_allocated_storage && args.max_allocated_storage.is_some()) {
        call = call.set_max_allocated_storage(args.max_allocated_storage.map(number));
    }
    if changed(prior.storage_type != args.storage_type) {
        call = call.storage_type(&args.storage_type);
    }
    if changed(prior.iops != args.iops && args.iops.is_some()) {
        call = call.set_iops(args.iops.map(number));
    }
    if changed(prior.password != args.password) {
        call = match &args.password {
            Some(password) => {
                let unmanage = prior.password.is_none() && prior.master_user_secret_arn.is_some();
                call.master_user_password(password.reveal()).set_manage_master_user_password(unmanage.then_some(false))
            }
            None => call.manage_master_user_password(true),
        };
    }
    if changed(prior.port != args.port && args.port.is_some()) {
        call = call.set_db_port_number(args.port.map(i32::from));
    }
    if let Some(groups) = &args.security_group_ids
        && changed(prior.security_group_ids != args.security_group_ids)
    {
        call = call.set_vpc_security_group_ids(Some(groups.to_vec()));
    }
    if changed(prior.parameter_group != args.parameter_group && args.parameter_group.is_some()) {
        call = call.set_db_parameter_group_name(args.parameter_group.clone());
    }
    if changed(prior.multi_az != args.multi_az) {
        call = call.multi_az(args.multi_az);
    }
    if changed(prior.publicly_accessible != args.publicly_accessible) {
        call = call.publicly_accessible(args.publicly_accessible);
    }
    if changed(prior.deletion_protection != args.deletion_protection) {
        call = call.deletion_protection(args.deletion_protection);
    }
    if changed(prior.backup_retention_days != args.backup_retention_days) {
        call = call.backup_retention_period(number(args.backup_retention_days));
    }
    if changed(prior.backup_window != args.backup_window && args.backup_window.is_some()) {
        call = call.set_preferred_backup_window(args.backup_window.clone());
    }
    if changed(prior.maintenance_window != args.maintenance_window && args.maintenance_window.is_some()) {
        call = call.set_preferred_maintenance_window(args.maintenance_window.clone());
    }
    if changed(prior.auto_minor_version_upgrade != args.auto_minor_version_upgrade) {
        call = call.auto_minor_version_upgrade(args.auto_minor_version_upgrade);
    }
    if changed(prior.copy_tags_to_snapshot != args.copy_tags_to_snapshot) {
        call = call.copy_tags_to_snapshot(args.copy_tags_to_snapshot);
    }
    if anything {
        retry(cx, BUSY, || async { Ok(call.clone().send().await?) }).await?;
    }
    Ok(())
}

/// Whether RDS has changes that it has not applied yet.
pub(super) fn is_pending(wire: &Wire) -> bool {
    wire.pending_modified_values().is_some_and(|pending| {
        let mut pending = pending.clone();
        pending.processor_features = pending.processor_features.filter(|list| !list.is_empty());
        pending.additional_storage_volumes = pending.additional_storage_volumes.filter(|list| !list.is_empty());
        pending != PendingModifiedValues::builder().build()
    })
}

/// Whether RDS shows something else than was asked for, of what a change in place can reach.
pub(super) fn differs(state: &InstanceState, asked: &InstanceArgs) -> bool {
    state.instance_class != asked.instance_class
        || state.allocated_storage != asked.allocated_storage
        || state.multi_az != asked.multi_az
        || state.deletion_protection != asked.deletion_protection
        || state.backup_retention_days != asked.backup_retention_days
        || state.engine_version != asked.engine_version
        || (asked.port.is_some() && state.port != asked.port)
        || (asked.security_group_ids.is_some() && state.security_group_ids != asked.security_group_ids)
}

/// Whether an instance that runs `running` is what a program means by `asked`: `16` means every 16.x, and a later minor
/// version than the one asked for is AWS's own doing while it upgrades them by itself.
pub(super) fn keeps_version(asked: &str, running: &str, upgrades_itself: bool) -> bool {
    if running == asked || running.strip_prefix(asked).is_some_and(|rest| rest.starts_with(['.', '-'])) {
        return true;
    }
    let (Some(asked), Some(running)) = (numbers(asked), numbers(running)) else { return false };
    let minor = asked.len() - 1;
    upgrades_itself
        && asked.len() > 1
        && running.get(..minor) == Some(&asked[..minor])
        && running[minor..] > asked[minor..]
}

fn numbers(version: &str) -> Option<Vec<u32>> {
    version.split('.').map(|part| part.parse().ok()).collect()
}

/// The part of a version by which major upgrades are told: the first number, of MySQL and MariaDB 5 and 8 the first two.
fn major(version: &str) -> String {
    let mut parts = version.split('.');
    match (parts.next(), parts.next()) {
        (Some(first @ ("5" | "8" | "10" | "11")), Some(second)) => format!("{first}.{second}"),
        (first, _) => first.unwrap_or_default().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_means_what_programs_mean_by_it() {
        for (asked, running, upgrades_itself, keeps) in [
            ("16", "16.4", false, true),
            ("16", "16", false, true),
            ("16.4", "16.4", false, true),
            ("16.4", "16.6", true, true),
            ("16.4", "16.6", false, false),
            ("16.4", "16.3", true, false),
            ("16.4", "17.1", true, false),
            ("16", "17.1", true, false),
            ("1", "16.4", true, false),
            ("8.0", "8.0.36", false, true),
            ("8.0.35", "8.0.36", true, true),
            ("8.0.35", "8.4.3", true, false),
            ("19.0.0.0.ru-2024-01.rur-2024-01.r1", "19.0.0.0.ru-2024-04.rur-2024-04.r1", true, false),
        ] {
            assert_eq!(keeps_version(asked, running, upgrades_itself), keeps, "{asked} while {running} runs");
        }
    }

    #[test]
    fn majors_are_told_apart() {
        for (one, other, same) in
            [("16.4", "16.6", true), ("15.1", "16", false), ("8.0.35", "8.4.3", false), ("8.0.35", "8.0.36", true)]
        {
            assert_eq!(major(one) == major(other), same, "{one} and {other}");
        }
    }
}
