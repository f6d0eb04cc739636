//! Buckets: safe unless the program says otherwise, and never emptied unless it says so.

use stackkit::{ErrorKind, Found, Intent, Managed};
use stackkit_aws::s3::{Bucket, BucketArgs, Ownership};

use crate::support::{Outcome, args, aws, config, context, in_region, shared, tags};

fn bucket(name: &str) -> Bucket {
    Bucket::new().name(name)
}

fn client() -> aws_sdk_s3::Client {
    let config = config(shared().endpoint(), "eu-central-1");
    aws_sdk_s3::Client::from_conf(aws_sdk_s3::config::Builder::from(&config).force_path_style(true).build())
}

#[tokio::test]
async fn a_bucket_is_made_safe_read_changed_and_deleted() -> Outcome {
    let aws = aws(shared());
    let cx = context::<Bucket>("bucket-life");
    let asked = args("", bucket("life").tags([("team", "red")]));
    let made = Bucket::create(&aws, &cx, &asked).await?;
    assert_eq!((made.id.as_str(), &made.state.args), ("life", &asked));
    assert!(made.state.versioning && made.state.block_public_access);
    assert_eq!((made.state.encryption.as_str(), made.state.ownership), ("AES256", Ownership::BucketOwnerEnforced));
    assert_eq!(made.state.arn, "arn:aws:s3:::life");
    assert_eq!(Bucket::read(&aws, &cx, "life", Some(&made.state)).await?.as_ref(), Some(&made.state));

    let key = "arn:aws:kms:eu-central-1:123456789012:key/1";
    let asked = args(
        "",
        bucket("life")
            .versioning(false)
            .encryption(key)
            .block_public_access(false)
            .ownership(Ownership::ObjectWriter)
            .tags([("team", "blue")]),
    );
    let changed = Bucket::update(&aws, &cx, "life", &made.state, &asked).await?;
    assert_eq!(changed.args, asked);
    let items = [("life".to_owned(), Some(changed.clone())), ("no-such-bucket".to_owned(), None)];
    let read = Bucket::read_many(&aws, &cx, &items).await.into_iter().collect::<Result<Vec<_>, _>>()?;
    assert_eq!(read, [Some(changed.clone()), None]);
    let wire = client().get_bucket_tagging().bucket("life").send().await?;
    let mut keys: Vec<_> = wire.tag_set().iter().map(|tag| tag.key()).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["stackkit:lineage", "stackkit:token", "stackkit:urn", "team"]);

    Bucket::delete(&aws, &cx, "life", &changed).await?;
    assert_eq!(Bucket::read(&aws, &cx, "life", Some(&changed)).await?, None);
    Ok(())
}

#[tokio::test]
async fn a_full_bucket_is_emptied_only_when_the_program_said_so() -> Outcome {
    let aws = aws(shared());
    let cx = context::<Bucket>("full");
    let kept = Bucket::create(&aws, &cx, &args("", bucket("full"))).await?;
    let client = client();
    for key in ["a", "a", "b"] {
        client.put_object().bucket("full").key(key).body(key.as_bytes().to_vec().into()).send().await?;
    }
    client.delete_object().bucket("full").key("b").send().await?;
    client.create_multipart_upload().bucket("full").key("c").send().await?;

    let refused = Bucket::delete(&aws, &cx, "full", &kept.state).await.expect_err("it is full");
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    assert!(refused.to_string().contains("force_destroy"), "{refused}");

    let asked = args("", bucket("full").force_destroy(true));
    let forced = Bucket::update(&aws, &cx, "full", &kept.state, &asked).await?;
    assert!(forced.force_destroy);
    Bucket::delete(&aws, &cx, "full", &forced).await?;
    assert_eq!(Bucket::read(&aws, &cx, "full", None).await?, None);
    Ok(())
}

#[tokio::test]
async fn a_bucket_that_is_there_already_is_never_taken_over() -> Outcome {
    // There the service itself says nothing when one makes a bucket that one has.
    let aws = in_region(shared(), "us-east-1");
    let asked = args("", bucket("taken"));
    let free = Bucket::is_name_free(&aws, &context::<Bucket>("t"), &asked).await?;
    assert_eq!(free, Some(true));
    Bucket::create(&aws, &context::<Bucket>("taken-1"), &asked).await?;
    assert_eq!(Bucket::is_name_free(&aws, &context::<Bucket>("t"), &asked).await?, Some(false));
    let refused = Bucket::create(&aws, &context::<Bucket>("taken-2"), &asked).await.expect_err("taken");
    assert_eq!(refused.kind(), ErrorKind::Conflict, "{refused}");

    let intent =
        |token: &str, name_was_free| Intent::<Bucket> { args: asked.clone(), token: token.to_owned(), name_was_free };
    let cx = context::<Bucket>("any");
    assert!(matches!(Bucket::find(&aws, &cx, &intent("taken-1", Some(true))).await?, Found::Ours(_)));
    assert!(matches!(Bucket::find(&aws, &cx, &intent("taken-2", Some(false))).await?, Found::Nothing));
    assert!(
        matches!(Bucket::find(&aws, &cx, &intent("taken-2", Some(true))).await?, Found::Nothing),
        "the tags say whose it is"
    );
    Ok(())
}

#[tokio::test]
async fn a_bucket_that_got_no_tags_is_ours_if_its_name_was_found_free() -> Outcome {
    let aws = aws(shared());
    let configuration = aws_sdk_s3::types::CreateBucketConfiguration::builder()
        .location_constraint(aws_sdk_s3::types::BucketLocationConstraint::EuCentral1)
        .build();
    client().create_bucket().bucket("bare").create_bucket_configuration(configuration).send().await?;
    let asked: BucketArgs = args("", bucket("bare"));
    let intent = |name_was_free| Intent::<Bucket> { args: asked.clone(), token: "bare".to_owned(), name_was_free };
    let cx = context::<Bucket>("bare");
    assert!(matches!(Bucket::find(&aws, &cx, &intent(Some(false))).await?, Found::Nothing), "a stranger's");
    let Found::Ours(found) = Bucket::find(&aws, &cx, &intent(Some(true))).await? else {
        return Err("not found".into());
    };
    assert!(!found.state.versioning, "as it was made, for the engine to finish");
    let finished = Bucket::update(&aws, &cx, "bare", &found.state, &asked).await?;
    assert_eq!(finished.args, asked);
    assert_eq!(finished.tags, tags(&[]));
    Ok(())
}
