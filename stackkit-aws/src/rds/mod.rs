//! Amazon RDS: database instances and their subnet groups.

mod instance;
mod modify;
mod subnet_group;

pub use instance::{Instance, InstanceArgs, InstanceOutputs, InstanceState};
pub use subnet_group::{SubnetGroup, SubnetGroupArgs, SubnetGroupOutputs, SubnetGroupState};

use aws_sdk_rds::config::Builder;
use aws_sdk_rds::config::retry::RetryConfig;
use aws_sdk_rds::types::Tag;
use stackkit::resource::Problem;

use crate::connect::Aws;
use crate::error::Error;
use crate::tags::{self, Tags};

/// How many entries a page may have.
const PAGE: i32 = 100;

/// A call that makes something is attempted once: when its answer is lost, the engine looks.
fn once() -> Builder {
    Builder::new().retry_config(RetryConfig::disabled())
}

fn wire(tags: &Tags) -> Vec<Tag> {
    tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}

fn unwire(tags: &[Tag]) -> Tags {
    let pair = |tag: &Tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned()));
    tags.iter().filter_map(pair).collect()
}

/// Brings the tags of one resource from the recorded to the asked ones.
async fn retag(aws: &Aws, arn: &str, recorded: &Tags, asked: &Tags) -> Result<(), Error> {
    let Some(change) = tags::change(recorded, asked) else { return Ok(()) };
    if !change.set.is_empty() {
        let call = aws.rds().add_tags_to_resource().resource_name(arn);
        call.set_tags(Some(wire(&change.set))).send().await?;
    }
    if !change.remove.is_empty() {
        let call = aws.rds().remove_tags_from_resource().resource_name(arn);
        call.set_tag_keys(Some(change.remove)).send().await?;
    }
    Ok(())
}

/// What RDS would refuse about a name.
fn name_problem(field: &'static str, name: &str, longest: usize) -> Option<Problem> {
    let fits = name.len() <= longest
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        && !name.ends_with('-')
        && !name.contains("--");
    (!name.is_empty() && !fits).then(|| {
        let what = format!(
            "`{name}` must be at most {longest} lower-case letters, digits and single hyphens, begin with a letter and \
             not end with a hyphen"
        );
        Problem::new(field, what)
    })
}
