//! What the program promises, as tests: of the plan, of what is made, of failures, and of crashes.

use stackkit::ErrorKind;
use stackkit::event::Verb;
use stackkit::prelude::*;
use stackkit::testing::{Failure, Test};

use super::policies::house_rules;
use super::{certificate, service};

#[stackkit::test]
async fn every_instance_has_its_settings() {
    let run = Test::of(service).config("instances", "3").up().await.expect_ok();
    for name in ["instance-0", "instance-1", "instance-2"] {
        let settings = run.get::<local::SecretFile>(name);
        assert_eq!(settings.path, format!("settings/{name}.env"));
        assert!(settings.content.reveal().starts_with("LOG=debug\n"));
    }
    assert!(!run.has::<local::SecretFile>("instance-3"));
}

#[stackkit::test]
async fn a_password_of_the_config_is_used_as_it_is() {
    let run = Test::of(service).secret("database_password", "correct horse").up().await.expect_ok();
    assert!(!run.has::<local::RandomPassword>("database"));
    assert_eq!(run.output::<Secret<String>>("database_password").reveal(), "correct horse");
    assert!(run.get::<local::SecretFile>("instance-0").content.reveal().contains("app:correct horse@"));
}

#[stackkit::test]
async fn production_is_not_run_on_one_instance() {
    let test = Test::of(service).config("environment", "production");
    let error = test.up().await.expect_err().to_string();
    assert!(error.contains("run `config set instances 2`"), "{error}");
    let run = test.config("instances", "2").up().await.expect_ok();
    assert_eq!(run.get::<local::SelfSignedCert>("tls/certificate").valid_days, 90);
}

#[stackkit::program]
async fn two_certificates(stack: &mut Stack) -> Result<()> {
    let site = certificate(stack, "site", "example.com", 90);
    let mut old = stack.component("old").protect();
    certificate(&mut old, "site", "old.example.com", 3650);
    stack.output("site", &site.pem);
    Ok(())
}

#[stackkit::test]
async fn a_component_is_tested_like_a_program_hooks_included() {
    let run = Test::of(two_certificates).up().await;
    assert!(run.has::<local::SelfSignedCert>("site/certificate") && run.has::<local::TlsPrivateKey>("old/site/key"));
    // Its hook has refused the other one before anything was made.
    assert!(!run.has::<local::SelfSignedCert>("old/site/certificate"));
    assert!(
        run.failures()[0].contains("no certificate that is valid for longer than 398 days"),
        "{:?}",
        run.failures()
    );
}

#[stackkit::test]
async fn a_weak_password_is_refused_before_anything_is_touched() {
    let test = Test::of(service).secret("database_password", "hunter2");
    let run = test.up().await;
    assert_eq!(run.expect_err().exit_code(), 3);
    assert!(run.expect_err().to_string().contains("the database's password has at least 12 characters"));
    assert!(test.cloud().calls().is_empty());
}

#[stackkit::program]
async fn careless(stack: &mut Stack) -> stackkit::Result<()> {
    stack.policies(house_rules());
    stack.add("open", local::Directory::new("open"));
    stack.add("weak", local::RandomPassword::new(8));
    Ok(())
}

#[stackkit::test]
async fn the_rules_of_the_house_name_everything_that_breaks_them() {
    let error = Test::of(careless).preview().await.expect_err().to_string();
    for part in
        ["Directory::open: `mode`: the policy `private-folders`", "RandomPassword::weak: the policy `long-passwords`"]
    {
        assert!(error.contains(part), "{error}");
    }
}

#[stackkit::test]
async fn certificates_are_shortened_and_keys_stay() {
    let test = Test::of(service);
    let run = test.up().await.expect_ok();
    assert_eq!(run.get::<local::SelfSignedCert>("tls/certificate").valid_days, 180);
    let error = test.with_program(careless_no_more).up().await.expect_err().to_string();
    assert!(error.contains("TlsPrivateKey::tls/key: the policy `keys-stay` refuses it"), "{error}");
}

#[stackkit::program]
async fn careless_no_more(stack: &mut Stack) -> stackkit::Result<()> {
    stack.policies(house_rules());
    Ok(())
}

#[stackkit::test]
async fn a_second_up_changes_nothing_and_fewer_instances_delete_the_rest() {
    let test = Test::of(service).config("instances", "3");
    test.up().await.expect_ok();
    assert!(!test.up().await.expect_ok().summary().has_changes());
    let run = test.config("instances", "1").up().await.expect_ok();
    assert_eq!((run.summary().delete, run.summary().same), (2, 6));
    assert!(!run.has::<local::SecretFile>("instance-2"));
}

#[stackkit::test]
async fn a_failure_leaves_the_others_alone_and_the_next_up_goes_on() {
    let full = Failure::of(Verb::Create, "instance-1").message("the disk is full");
    let test = Test::of(service).config("instances", "2").failing(full);
    let run = test.up().await;
    run.expect_err();
    assert!(run.failures()[0].contains("the disk is full"), "{:?}", run.failures());
    assert!(run.has::<local::SecretFile>("instance-0") && !run.has::<local::SecretFile>("instance-1"));
    let run = test.up().await.expect_ok();
    assert_eq!(run.summary().create, 1);
}

#[stackkit::test]
async fn a_failure_in_passing_is_tried_again() {
    let busy = Failure::of(Verb::Create, "tls.crt").kind(ErrorKind::Throttled).times(2);
    let run = Test::of(service).failing(busy).up().await.expect_ok();
    assert_eq!(run.summary().failed, 0);
}

#[stackkit::test]
async fn a_crash_at_any_moment_loses_nothing() {
    let run = Test::of(service).config("instances", "2").up().await.expect_ok();
    run.simulate_crashes().await.assert_converges();
}
