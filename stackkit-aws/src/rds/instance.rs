//! `Instance`: a database server, kept safe unless the program says otherwise.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_rds::types::{DbInstance as Wire, Filter};
use stackkit::error::ErrorKind;
use stackkit::input::IntoInput;
use stackkit::resource::{Created, Found, Intent, Managed, Problem};
use stackkit::{Context, Secret, Set, resource};

use super::modify::{keeps_version, modify};
use super::{PAGE, name_problem, once, retag, unwire, wire};
use crate::batch;
use crate::connect::Aws;
use crate::error::Error;
use crate::tags::{self, is_ours};
use crate::wait::{Pace, Rule, Seen, retry, until};

/// How many identifiers a filter may have.
const FILTER_VALUES: usize = 100;

/// What RDS says while it is busy with an instance. An upgrade can take the better part of an hour.
pub(super) const BUSY: Rule = Rule::passing(&["InvalidDBInstanceState", "InvalidDBInstanceStateFault"], 60 * 60);

/// A database instance.
///
/// [`Instance::postgres`], [`Instance::mysql`] and [`Instance::mariadb`] begin one. Unless the program says otherwise
/// it is encrypted, private, backed up for seven days, protected from deletion in AWS and by the engine, and leaves a
/// final snapshot, whose name stands in `final_snapshot_identifier` all the time.
///
/// To delete one, first set `deletion_protection(false)` and run `up`. Changes are applied at once, not in the
/// maintenance window; some of them restart the database.
///
/// Actions: `rds:CreateDBInstance`, `rds:DescribeDBInstances`, `rds:ModifyDBInstance`, `rds:DeleteDBInstance`,
/// `rds:CreateDBSnapshot`, `rds:AddTagsToResource`, `rds:RemoveTagsFromResource`; without `password` also
/// `secretsmanager:CreateSecret` and `secretsmanager:TagResource`; the first one of an account
/// `iam:CreateServiceLinkedRole`.
#[resource(
    "aws:rds:Instance",
    stateful,
    settle = 120,
    create_timeout = "60m",
    update_timeout = "80m",
    delete_timeout = "60m"
)]
#[derive(PartialEq)]
pub struct Instance {
    /// The engine, such as `postgres`, `mysql` or `mariadb`.
    #[resource(replace)]
    pub engine: String,
    /// Its version: `16` for the newest 16.x that AWS offers when it is made, or `16.4`. A newer one upgrades it in
    /// place. While `auto_minor_version_upgrade` is on, what AWS upgraded by itself is no drift.
    pub engine_version: String,
    /// The size, such as `db.t4g.micro`.
    pub instance_class: String,
    /// Storage in GiB. It can grow and never shrink.
    pub allocated_storage: u32,
    /// The identifier, unique in account and region: at most 63 lower-case letters, digits and hyphens. Unset: made up
    /// from stack and name.
    #[resource(name, replace)]
    pub identifier: String,
    /// Up to how many GiB AWS may let the storage grow by itself. Unset: it does not.
    pub max_allocated_storage: Option<u32>,
    /// `gp3`, `gp2`, `io1` or `io2`.
    #[resource(default = "gp3")]
    pub storage_type: String,
    /// Operations a second that the storage is good for, where its type lets one choose.
    #[resource(computed)]
    pub iops: Option<u32>,
    /// Whether the storage is encrypted.
    #[resource(replace, default = true)]
    pub storage_encrypted: bool,
    /// ARN of the KMS key. Unset: AWS's own for RDS.
    #[resource(replace, computed)]
    pub kms_key_id: Option<String>,
    /// Name of the master user.
    #[resource(replace, default = "app")]
    pub username: String,
    /// The master user's password, 8 to 41 characters. Unset: RDS makes one and keeps it in Secrets Manager, under
    /// `master_user_secret_arn`.
    #[resource(write_only)]
    pub password: Option<Secret<String>>,
    /// A database to make in it at once. Unset: none besides the engine's own.
    #[resource(replace, computed)]
    pub db_name: Option<String>,
    /// The port. Unset: the engine's usual one.
    #[resource(computed)]
    pub port: Option<u16>,
    /// Name of the subnet group. Unset: the default network's.
    #[resource(replace, computed)]
    pub subnet_group: Option<String>,
    /// Ids of the security groups. Unset: the network's default group.
    #[resource(computed)]
    pub security_group_ids: Option<Set<String>>,
    /// Name of the parameter group. Unset: the engine's default one.
    #[resource(computed)]
    pub parameter_group: Option<String>,
    /// The zone. Unset: AWS chooses one.
    #[resource(replace, computed)]
    pub availability_zone: Option<String>,
    /// Whether a standby runs in a second zone.
    #[resource(default = false)]
    pub multi_az: bool,
    /// Whether it gets a public address.
    #[resource(default = false)]
    pub publicly_accessible: bool,
    /// Whether AWS itself refuses to delete it.
    #[resource(default = true)]
    pub deletion_protection: bool,
    /// Whether a snapshot is taken before it is deleted.
    #[resource(default = true, write_only)]
    pub final_snapshot: bool,
    /// For how many days automatic backups are kept, 0 to 35; with 0 there are none.
    #[resource(default = 7)]
    pub backup_retention_days: u32,
    /// When backups are taken, such as `03:00-04:00`, in UTC. Unset: AWS chooses.
    #[resource(computed)]
    pub backup_window: Option<String>,
    /// When AWS may do maintenance, such as `sun:05:00-sun:06:00`, in UTC. Unset: AWS chooses.
    #[resource(computed)]
    pub maintenance_window: Option<String>,
    /// Whether AWS upgrades minor versions by itself, in the maintenance window.
    #[resource(default = true)]
    pub auto_minor_version_upgrade: bool,
    /// Whether snapshots get the instance's tags.
    #[resource(default = true)]
    pub copy_tags_to_snapshot: bool,
    /// Tags.
    #[resource(default = BTreeMap::<String, String>::new())]
    pub tags: BTreeMap<String, String>,
    /// Host and port, such as `orders.abc.eu-central-1.rds.amazonaws.com:5432`.
    #[resource(output, volatile)]
    pub endpoint: String,
    /// The host.
    #[resource(output)]
    pub address: String,
    /// The ARN.
    #[resource(output)]
    pub arn: String,
    /// The id that stays the same whatever the identifier, such as `db-ABCDEFGHIJKL`.
    #[resource(output)]
    pub resource_id: String,
    /// The exact version that runs.
    #[resource(output, volatile)]
    pub running_version: String,
    /// ARN of the secret with the master password, where RDS manages it.
    #[resource(output, volatile)]
    #[resource(not_secret)]
    pub master_user_secret_arn: Option<String>,
    /// Name of the snapshot that a deletion leaves, unless `final_snapshot` is off.
    #[resource(output)]
    pub final_snapshot_identifier: String,
}

impl Instance {
    /// PostgreSQL of a version (`"16"` or `"16.4"`), an instance class and storage in GiB.
    pub fn postgres(
        version: impl IntoInput<String>,
        class: impl IntoInput<String>,
        storage: impl IntoInput<u32>,
    ) -> Self {
        Self::new("postgres", version, class, storage)
    }

    /// MySQL of a version, an instance class and storage in GiB.
    pub fn mysql(version: impl IntoInput<String>, class: impl IntoInput<String>, storage: impl IntoInput<u32>) -> Self {
        Self::new("mysql", version, class, storage)
    }

    /// MariaDB of a version, an instance class and storage in GiB.
    pub fn mariadb(
        version: impl IntoInput<String>,
        class: impl IntoInput<String>,
        storage: impl IntoInput<u32>,
    ) -> Self {
        Self::new("mariadb", version, class, storage)
    }
}

impl Managed for Instance {
    type Provider = Aws;

    async fn create(aws: &Aws, cx: &Context, args: &InstanceArgs) -> Result<Created<Self>, Error> {
        let tags = wire(&tags::of_new(cx, &args.tags));
        retry(cx, Rule::NEW, || async {
            Ok(aws
                .rds()
                .create_db_instance()
                .db_instance_identifier(&args.identifier)
                .engine(&args.engine)
                .engine_version(&args.engine_version)
                .db_instance_class(&args.instance_class)
                .allocated_storage(number(args.allocated_storage))
                .set_max_allocated_storage(args.max_allocated_storage.map(number))
                .storage_type(&args.storage_type)
                .set_iops(args.iops.map(number))
                .storage_encrypted(args.storage_encrypted)
                .set_kms_key_id(args.kms_key_id.clone())
                .master_username(&args.username)
                .set_master_user_password(args.password.as_ref().map(|password| password.reveal().clone()))
                .set_manage_master_user_password(args.password.is_none().then_some(true))
                .set_db_name(args.db_name.clone())
                .set_port(args.port.map(i32::from))
                .set_db_subnet_group_name(args.subnet_group.clone())
                .set_vpc_security_group_ids(args.security_group_ids.as_ref().map(|ids| ids.to_vec()))
                .set_db_parameter_group_name(args.parameter_group.clone())
                .set_availability_zone(args.availability_zone.clone())
                .multi_az(args.multi_az)
                .publicly_accessible(args.publicly_accessible)
                .deletion_protection(args.deletion_protection)
                .backup_retention_period(number(args.backup_retention_days))
                .set_preferred_backup_window(args.backup_window.clone())
                .set_preferred_maintenance_window(args.maintenance_window.clone())
                .auto_minor_version_upgrade(args.auto_minor_version_upgrade)
                .copy_tags_to_snapshot(args.copy_tags_to_snapshot)
                .set_tags(Some(tags.clone()))
                .customize()
                .config_override(once())
                .send()
                .await?)
        })
        .await?;
        cx.created(&args.identifier).await?;
        Ok(Created::new(&args.identifier, settled(aws, cx, args).await.map_err(Error::half_made)?))
    }

    async fn read(
        aws: &Aws,
        cx: &Context,
        id: &str,
        prior: Option<&InstanceState>,
    ) -> Result<Option<InstanceState>, Error> {
        match describe(aws, id).await? {
            Some(wire) => Ok(Some(made(aws, cx, id, &wire, prior.map(|prior| &prior.args)).await?)),
            None => Ok(None),
        }
    }

    async fn claimed_by(aws: &Aws, cx: &Context, id: &str, _: &InstanceState) -> Result<Option<String>, Error> {
        let found = describe(aws, id).await?;
        Ok(found.and_then(|wire| tags::claimant(cx, unwire(wire.tag_list()))))
    }

    async fn read_many(
        aws: &Aws,
        cx: &Context,
        items: &[(String, Option<InstanceState>)],
    ) -> Vec<Result<Option<InstanceState>, Error>> {
        let found = batch::read(items, FILTER_VALUES, |ids| list(aws, ids)).await;
        let mut states = Vec::with_capacity(items.len());
        for (found, (id, prior)) in found.into_iter().zip(items) {
            let asked = prior.as_ref().map(|prior| &prior.args);
            states.push(match found {
                Ok(Some(wire)) => made(aws, cx, id, &wire, asked).await.map(Some),
                Ok(None) => Ok(None),
                // Should one that is gone fail the whole list, each is asked for by itself.
                Err(error) if error.is_not_found() => Self::read(aws, cx, id, prior.as_ref()).await,
                Err(error) => Err(error),
            });
        }
        states
    }

    async fn update(
        aws: &Aws,
        cx: &Context,
        id: &str,
        prior: &InstanceState,
        args: &InstanceArgs,
    ) -> Result<InstanceState, Error> {
        modify(aws, cx, id, prior, args).await?;
        retag(aws, &prior.arn, &prior.tags, &args.tags).await?;
        settled(aws, cx, args).await
    }

    async fn delete(aws: &Aws, cx: &Context, id: &str, prior: &InstanceState) -> Result<(), Error> {
        let asked = retry(cx, BUSY, || async {
            let call = aws.rds().delete_db_instance().db_instance_identifier(id);
            let call = match prior.final_snapshot {
                true => call.skip_final_snapshot(false).final_db_snapshot_identifier(&prior.final_snapshot_identifier),
                false => call.skip_final_snapshot(true),
            };
            match call.send().await.map_err(Error::from) {
                // An earlier attempt got that far.
                Err(error) if error.to_string().contains("already being deleted") => Ok(()),
                other => other.map(drop),
            }
        })
        .await;
        match asked {
            Err(error) if error.to_string().to_lowercase().contains("deletion protection") => {
                return Err(
                    error.because("set `deletion_protection(false)` in the program and run `up` before deleting it")
                );
            }
            other => other?,
        }
        until(cx, "the database to be gone", Pace { steady: 1, ..Pace::SLOW }, || async {
            Ok(match describe(aws, id).await? {
                Some(wire) => Seen::Waiting(wire.db_instance_status().unwrap_or("there").to_owned()),
                None => Seen::Ready(()),
            })
        })
        .await
    }

    async fn find(aws: &Aws, cx: &Context, intent: &Intent<Self>) -> Result<Found<Self>, Error> {
        let Some(found) = describe(aws, &intent.args.identifier).await? else { return Ok(Found::Nothing) };
        if !is_ours(cx, intent, &unwire(found.tag_list())) {
            return Ok(Found::Nothing);
        }
        // It may still be on its way: without an endpoint there is no state to hand over.
        Ok(Found::Ours(Created::new(&intent.args.identifier, settled(aws, cx, &intent.args).await?)))
    }

    async fn is_name_free(aws: &Aws, _: &Context, args: &InstanceArgs) -> Result<Option<bool>, Error> {
        Ok(Some(describe(aws, &args.identifier).await?.is_none()))
    }

    fn validate(args: &InstanceArgs) -> Vec<Problem> {
        let mut problems = tags::problems(&args.tags);
        problems.extend(name_problem("identifier", &args.identifier, 63));
        let mut refuse = |field, what: &str| problems.push(Problem::new(field, what));
        if args.backup_retention_days > 35 {
            refuse("backup_retention_days", "must be at most 35");
        }
        if args.max_allocated_storage.is_some_and(|most| most < args.allocated_storage) {
            refuse("max_allocated_storage", "must not be below `allocated_storage`");
        }
        if !args.instance_class.starts_with("db.") {
            refuse("instance_class", "must begin with `db.`, such as `db.t4g.micro`");
        }
        if args.password.as_ref().is_some_and(|password| !(8..=128).contains(&password.reveal().chars().count())) {
            refuse("password", "must have at least 8 characters, and at most 41 or 128, depending on the engine");
        }
        if args.kms_key_id.is_some() && !args.storage_encrypted {
            refuse("kms_key_id", "has no meaning without `storage_encrypted`");
        }
        problems
    }
}

/// As the SDK takes numbers; what would not fit is beyond anything that RDS offers.
pub(super) fn number(n: u32) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

async fn describe(aws: &Aws, id: &str) -> Result<Option<Wire>, Error> {
    match aws.rds().describe_db_instances().db_instance_identifier(id).send().await.map_err(Error::from) {
        Ok(answer) => Ok(answer.db_instances.unwrap_or_default().pop()),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

async fn list(aws: &Aws, ids: Vec<String>) -> Result<HashMap<String, Wire>, Error> {
    let filter = Filter::builder().name("db-instance-id").set_values(Some(ids)).build();
    let pages = aws.rds().describe_db_instances().filters(filter).max_records(PAGE).into_paginator().items().send();
    let all: Vec<Wire> = pages.collect::<Result<_, _>>().await?;
    Ok(all.into_iter().filter_map(|wire| Some((wire.db_instance_identifier()?.to_owned(), wire))).collect())
}

/// The state of an instance as it is; one that is still being made is waited for, because it has no address yet.
async fn made(
    aws: &Aws,
    cx: &Context,
    id: &str,
    wire: &Wire,
    asked: Option<&InstanceArgs>,
) -> Result<InstanceState, Error> {
    if wire.endpoint().is_some() || wire.db_instance_status() != Some("creating") {
        return state(wire, asked);
    }
    until(cx, "the database", Pace { steady: 1, ..Pace::SLOW }, || async {
        Ok(match describe(aws, id).await? {
            Some(wire) if wire.endpoint().is_some() => Seen::Ready(state(&wire, asked)?),
            found => {
                let status = found.as_ref().and_then(|wire| wire.db_instance_status());
                Seen::Waiting(status.unwrap_or("not visible").to_owned())
            }
        })
    })
    .await
}

/// Waits until it is available, nothing is pending, and what was asked for is what is there.
async fn settled(aws: &Aws, cx: &Context, args: &InstanceArgs) -> Result<InstanceState, Error> {
    until(cx, "the database", Pace::SLOW, || async {
        let Some(wire) = describe(aws, &args.identifier).await? else {
            return Ok(Seen::Waiting("not visible".into()));
        };
        match wire.db_instance_status().unwrap_or("creating") {
            "available" | "storage-optimization" | "storage-config-upgrade" => {}
            stuck @ ("failed" | "incompatible-create" | "incompatible-network" | "incompatible-option-group"
            | "incompatible-parameters" | "incompatible-restore" | "inaccessible-encryption-credentials"
            | "insufficient-capacity" | "restore-error" | "storage-full") => {
                return Err(Error::new(
                    ErrorKind::Conflict,
                    format!("rds: the database `{}` is `{stuck}` and will not become available by itself; see its events in the RDS console", args.identifier),
                ));
            }
            other => return Ok(Seen::Waiting(other.to_owned())),
        }
        if super::modify::is_pending(&wire) {
            return Ok(Seen::Waiting("applying changes".into()));
        }
        let state = state(&wire, Some(args))?;
        if state.address.is_empty() {
            return Ok(Seen::Waiting("without an endpoint".into()));
        }
        if super::modify::differs(&state, args) {
            return Ok(Seen::Waiting("changing".into()));
        }
        Ok(Seen::Ready(state))
    })
    .await
}

pub(super) fn state(wire: &Wire, asked: Option<&InstanceArgs>) -> Result<InstanceState, Error> {
    let missing = |member| Error::missing("rds:DescribeDBInstances", member);
    let identifier = wire.db_instance_identifier().ok_or_else(|| missing("DBInstanceIdentifier"))?;
    let running = wire.engine_version().unwrap_or_default();
    let count = |n: Option<i32>| n.and_then(|n| u32::try_from(n).ok());
    let storage = count(wire.allocated_storage()).unwrap_or_default();
    let endpoint = wire.endpoint();
    let port = endpoint.and_then(|it| it.port()).or(wire.db_instance_port()).and_then(|n| u16::try_from(n).ok());
    let address = endpoint.and_then(|it| it.address()).unwrap_or_default();
    let resource_id = wire.dbi_resource_id().unwrap_or_default();
    let groups = wire.vpc_security_groups().iter().filter_map(|it| it.vpc_security_group_id().map(str::to_owned));
    let auto_minor_version_upgrade = wire.auto_minor_version_upgrade().unwrap_or(false);
    let args = InstanceArgs {
        engine: wire.engine().ok_or_else(|| missing("Engine"))?.to_owned(),
        engine_version: match asked {
            Some(asked) if keeps_version(&asked.engine_version, running, auto_minor_version_upgrade) => {
                asked.engine_version.clone()
            }
            _ => running.to_owned(),
        },
        instance_class: wire.db_instance_class().unwrap_or_default().to_owned(),
        // What AWS let grow by itself, as the program allowed, is no drift.
        allocated_storage: match asked {
            Some(asked) if asked.max_allocated_storage.is_some() && storage > asked.allocated_storage => {
                asked.allocated_storage
            }
            _ => storage,
        },
        identifier: identifier.to_owned(),
        max_allocated_storage: count(wire.max_allocated_storage()),
        storage_type: wire.storage_type().unwrap_or_default().to_owned(),
        iops: count(wire.iops()),
        storage_encrypted: wire.storage_encrypted().unwrap_or(false),
        kms_key_id: wire.kms_key_id().map(str::to_owned),
        username: wire.master_username().unwrap_or_default().to_owned(),
        password: asked.and_then(|asked| asked.password.clone()),
        db_name: wire.db_name().map(str::to_owned),
        port,
        subnet_group: wire.db_subnet_group().and_then(|it| it.db_subnet_group_name()).map(str::to_owned),
        security_group_ids: Some(groups.collect()),
        parameter_group: wire
            .db_parameter_groups()
            .first()
            .and_then(|it| it.db_parameter_group_name())
            .map(str::to_owned),
        availability_zone: wire.availability_zone().map(str::to_owned),
        multi_az: wire.multi_az().unwrap_or(false),
        publicly_accessible: wire.publicly_accessible().unwrap_or(false),
        deletion_protection: wire.deletion_protection().unwrap_or(false),
        final_snapshot: asked.is_none_or(|asked| asked.final_snapshot),
        backup_retention_days: count(wire.backup_retention_period()).unwrap_or_default(),
        backup_window: wire.preferred_backup_window().map(str::to_owned),
        maintenance_window: wire.preferred_maintenance_window().map(str::to_owned),
        auto_minor_version_upgrade,
        copy_tags_to_snapshot: wire.copy_tags_to_snapshot().unwrap_or(false),
        tags: tags::declared(unwire(wire.tag_list())),
    };
    // The resource id makes it another name for every instance that ever bears this identifier.
    let suffix = resource_id.rsplit('-').next().unwrap_or_default().to_lowercase();
    let suffix: String = suffix.chars().take(10).collect();
    Ok(InstanceState {
        args,
        endpoint: format!("{address}:{}", port.unwrap_or_default()),
        address: address.to_owned(),
        arn: wire.db_instance_arn().ok_or_else(|| missing("DBInstanceArn"))?.to_owned(),
        resource_id: resource_id.to_owned(),
        running_version: running.to_owned(),
        master_user_secret_arn: wire.master_user_secret().and_then(|it| it.secret_arn()).map(str::to_owned),
        final_snapshot_identifier: format!("{identifier}-final-{suffix}"),
    })
}
