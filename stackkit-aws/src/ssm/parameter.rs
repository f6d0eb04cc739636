//! `Parameter`: a secure parameter that a program writes.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_ssm::config::Builder;
use aws_sdk_ssm::config::retry::RetryConfig;
use aws_sdk_ssm::types::{
    ParameterMetadata as Wire, ParameterStringFilter, ParameterTier, ParameterType, ResourceTypeForTagging, Tag,
};
use stackkit::resource::{Created, Found, Intent, Managed, Problem};
use stackkit::{Context, Secret, resource};

use crate::batch;
use crate::connect::Aws;
use crate::error::Error;
use crate::tags::{self, Tags};

/// How many names a filter may have.
const FILTER_VALUES: usize = 50;

/// A parameter of the type `SecureString`. Every change of it is a new version.
///
/// The state has no more of the value than a digest. A value that somebody else put there shows as another `version` and
/// is left alone until the program's own changes.
///
/// Actions: `ssm:PutParameter`, `ssm:DescribeParameters`, `ssm:DeleteParameter`, `ssm:ListTagsForResource`,
/// `ssm:AddTagsToResource`, `ssm:RemoveTagsFromResource`; with a key of your own `kms:Encrypt`.
#[resource("aws:ssm:Parameter", stateful, settle = 30)]
#[derive(PartialEq)]
pub struct Parameter {
    /// What it holds: up to 4096 bytes in the tier `Standard`, 8192 in `Advanced`.
    #[resource(write_only)]
    pub value: Secret<String>,
    /// The name, unique in account and region, such as `/prod/db/password`. Unset: made up from stack and name.
    #[resource(name, replace)]
    pub name: String,
    /// What it is for.
    #[resource(default = "Managed by StackKit")]
    pub description: String,
    /// ARN, id or alias of the KMS key.
    #[resource(default = "alias/aws/ssm")]
    pub key_id: String,
    /// `Standard` or `Advanced`. AWS does not take an advanced one back.
    #[resource(default = "Standard")]
    pub tier: String,
    /// Tags.
    #[resource(default = BTreeMap::<String, String>::new())]
    pub tags: BTreeMap<String, String>,
    /// The ARN.
    #[resource(output)]
    pub arn: String,
    /// The latest version.
    #[resource(output, volatile)]
    pub version: u64,
}

fn wire(tags: &Tags) -> Result<Vec<Tag>, Error> {
    tags.iter().map(|(key, value)| Ok(Tag::builder().key(key).value(value).build()?)).collect()
}

/// The parameters of these names that there are.
async fn list(aws: &Aws, names: Vec<String>) -> Result<HashMap<String, Wire>, Error> {
    let filter = ParameterStringFilter::builder().key("Name").option("Equals").set_values(Some(names)).build()?;
    let mut all = HashMap::new();
    let mut pages = aws.ssm().describe_parameters().parameter_filters(filter).max_results(50).into_paginator().send();
    while let Some(page) = pages.next().await {
        for found in page?.parameters() {
            all.extend(found.name().map(|name| (name.to_owned(), found.clone())));
        }
    }
    Ok(all)
}

async fn describe(aws: &Aws, name: &str) -> Result<Option<Wire>, Error> {
    Ok(list(aws, vec![name.to_owned()]).await?.remove(name))
}

async fn seen_tags(aws: &Aws, name: &str) -> Result<Tags, Error> {
    let call = aws.ssm().list_tags_for_resource().resource_type(ResourceTypeForTagging::Parameter);
    let found = call.resource_id(name).send().await?;
    Ok(found.tag_list().iter().map(|tag| (tag.key().to_owned(), tag.value().to_owned())).collect())
}

async fn state(aws: &Aws, name: &str, wire: &Wire, asked: Option<&ParameterArgs>) -> Result<ParameterState, Error> {
    let tags = seen_tags(aws, name).await?;
    Ok(ParameterState {
        args: ParameterArgs {
            value: asked.map_or_else(|| String::new().into(), |asked| asked.value.clone()),
            name: name.to_owned(),
            description: wire.description().unwrap_or_default().to_owned(),
            key_id: wire.key_id().unwrap_or("alias/aws/ssm").to_owned(),
            tier: wire.tier().map_or("Standard", ParameterTier::as_str).to_owned(),
            tags: tags::declared(tags),
        },
        arn: wire.arn().unwrap_or_default().to_owned(),
        version: wire.version().unsigned_abs(),
    })
}

/// What was just written, as the service has it.
async fn settled(aws: &Aws, args: &ParameterArgs) -> Result<ParameterState, Error> {
    let found = describe(aws, &args.name).await?;
    let found = found.ok_or_else(|| Error::missing("ssm:DescribeParameters", "Parameters"))?;
    let state = state(aws, &args.name, &found, Some(args)).await?;
    Ok(ParameterState { args: args.clone(), ..state })
}

impl Managed for Parameter {
    type Provider = Aws;

    async fn create(aws: &Aws, cx: &Context, args: &ParameterArgs) -> Result<Created<Self>, Error> {
        aws.ssm()
            .put_parameter()
            .name(&args.name)
            .value(args.value.reveal())
            .r#type(ParameterType::SecureString)
            .description(&args.description)
            .key_id(&args.key_id)
            .tier(ParameterTier::from(args.tier.as_str()))
            .set_tags(Some(wire(&tags::of_new(cx, &args.tags))?))
            .customize()
            .config_override(Builder::new().retry_config(RetryConfig::disabled()))
            .send()
            .await?;
        cx.created(&args.name).await?;
        Ok(Created::new(&args.name, settled(aws, args).await.map_err(Error::half_made)?))
    }

    async fn read(
        aws: &Aws,
        _: &Context,
        id: &str,
        prior: Option<&ParameterState>,
    ) -> Result<Option<ParameterState>, Error> {
        match describe(aws, id).await? {
            Some(found) => Ok(Some(state(aws, id, &found, prior.map(|prior| &prior.args)).await?)),
            None => Ok(None),
        }
    }

    async fn read_many(
        aws: &Aws,
        _: &Context,
        items: &[(String, Option<ParameterState>)],
    ) -> Vec<Result<Option<ParameterState>, Error>> {
        let found = batch::read(items, FILTER_VALUES, |names| list(aws, names)).await;
        let mut states = Vec::with_capacity(items.len());
        for (found, (id, prior)) in found.into_iter().zip(items) {
            let asked = prior.as_ref().map(|prior| &prior.args);
            states.push(match found {
                Ok(Some(found)) => state(aws, id, &found, asked).await.map(Some),
                Ok(None) => Ok(None),
                Err(error) => Err(error),
            });
        }
        states
    }

    async fn update(
        aws: &Aws,
        _: &Context,
        id: &str,
        prior: &ParameterState,
        args: &ParameterArgs,
    ) -> Result<ParameterState, Error> {
        let same = prior.value == args.value
            && prior.description == args.description
            && prior.key_id == args.key_id
            && prior.tier == args.tier;
        if !same {
            let call = aws.ssm().put_parameter().name(id).value(args.value.reveal()).overwrite(true);
            call.r#type(ParameterType::SecureString)
                .description(&args.description)
                .key_id(&args.key_id)
                .tier(ParameterTier::from(args.tier.as_str()))
                .send()
                .await?;
        }
        if let Some(change) = tags::change(&prior.tags, &args.tags) {
            if !change.set.is_empty() {
                let call = aws.ssm().add_tags_to_resource().resource_type(ResourceTypeForTagging::Parameter);
                call.resource_id(id).set_tags(Some(wire(&change.set)?)).send().await?;
            }
            if !change.remove.is_empty() {
                let call = aws.ssm().remove_tags_from_resource().resource_type(ResourceTypeForTagging::Parameter);
                call.resource_id(id).set_tag_keys(Some(change.remove)).send().await?;
            }
        }
        settled(aws, args).await
    }

    async fn delete(aws: &Aws, _: &Context, id: &str, _: &ParameterState) -> Result<(), Error> {
        aws.ssm().delete_parameter().name(id).send().await?;
        Ok(())
    }

    async fn find(aws: &Aws, cx: &Context, intent: &Intent<Self>) -> Result<Found<Self>, Error> {
        let name = &intent.args.name;
        let Some(found) = describe(aws, name).await? else { return Ok(Found::Nothing) };
        if !tags::is_ours(cx, intent, &seen_tags(aws, name).await?) {
            return Ok(Found::Nothing);
        }
        Ok(Found::Ours(Created::new(name, state(aws, name, &found, Some(&intent.args)).await?)))
    }

    async fn is_name_free(aws: &Aws, _: &Context, args: &ParameterArgs) -> Result<Option<bool>, Error> {
        Ok(Some(describe(aws, &args.name).await?.is_none()))
    }

    fn validate(args: &ParameterArgs) -> Vec<Problem> {
        let mut problems = tags::problems(&args.tags);
        let name = &args.name;
        if name.len() > 1011 || !name.chars().all(|c| c.is_ascii_alphanumeric() || "/_.-".contains(c)) {
            let what = format!("`{name}` must be at most 1011 letters, digits and `/_.-`");
            problems.push(Problem::new("name", what));
        }
        if !["Standard", "Advanced"].contains(&args.tier.as_str()) {
            problems.push(Problem::new("tier", format!("`{}` is not `Standard` or `Advanced`", args.tier)));
        }
        if args.value.reveal().is_empty() {
            problems.push(Problem::new("value", "it is empty, which AWS does not take"));
        }
        problems
    }
}
