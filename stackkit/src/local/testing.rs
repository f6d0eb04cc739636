//! What the unit tests of the local types share: a context in a folder, and arguments made of drafts.

use std::path::Path;

use crate::context::Context;
use crate::resource::{Fields, Intent, Resource};
use crate::schema::Role;
use crate::urn::Urn;

/// A context whose relative paths are taken from `dir`.
pub(super) fn context(dir: &Path) -> Context {
    Context::detached_in(Urn::new("local:Test", "test"), "token-1", dir)
}

/// The arguments that a provider gets for a draft: its values, and defaults where it says nothing.
pub(super) fn args<R: Resource>(draft: R) -> R::Args {
    let values = R::SCHEMA
        .fields
        .iter()
        .zip(draft.into_values())
        .map(|(field, value)| match field.default {
            Some(default) if field.role == Role::Input && value.is_null() => default(),
            _ => value,
        })
        .collect::<Vec<_>>();
    R::Args::from_values(&values).expect("the draft is complete")
}

/// The intent of a create that was cut short.
pub(super) fn intent<R: Resource>(args: &R::Args, name_was_free: Option<bool>) -> Intent<R> {
    Intent { args: args.clone(), token: "token-1".into(), name_was_free }
}

mod renewal {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::{Duration, SystemTime};

    use crate::connections::Connector;
    use crate::context::BoxFuture;
    use crate::engine::{DeployOptions, Deployment};
    use crate::error::Error;
    use crate::local::Local;
    use crate::plan::PlanOptions;
    use crate::prelude::*;
    use crate::provider::{Connection, Linked, connected};
    use crate::seal::KeyOptions;
    use crate::value::Value;

    /// The day that the one test below has it.
    static TODAY: AtomicU64 = AtomicU64::new(0);

    fn today() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs((20_000 + TODAY.load(Ordering::SeqCst)) * 86_400)
    }

    struct AtThatTime;

    impl Connector for AtThatTime {
        fn connect<'a>(&'a self, _: &'a Linked, _: &'a Value) -> BoxFuture<'a, Result<Arc<dyn Connection>, Error>> {
            Box::pin(std::future::ready(Ok(connected(Local::with_clock(today)))))
        }
    }

    #[crate::program]
    async fn certificates(stack: &mut Stack) -> Result<()> {
        let key = stack.add("key", local::TlsPrivateKey::new());
        let ca = local::SelfSignedCert::new(&key.private_key_pem, "CA").is_ca(true).valid_days(1000);
        let ca = stack.add("ca", ca);
        let request = stack.add("leaf", local::CertRequest::new(&key.private_key_pem, "localhost"));
        let leaf = local::SignedCert::new(&request.request_pem, &key.private_key_pem, &ca.certificate_pem);
        let leaf = stack.add("leaf", leaf.valid_days(90));
        stack.add("leaf", local::File::new("leaf.crt", &leaf.certificate_pem));
        Ok(())
    }

    #[tokio::test]
    async fn a_certificate_that_is_due_is_renewed_with_all_that_refers_to_it() {
        let dir = tempfile::tempdir().unwrap();
        let up = async |day: u64| {
            TODAY.store(day, Ordering::SeqCst);
            let keys = KeyOptions { default_key_file: Some(dir.path().join("key")), ..KeyOptions::default() };
            let options = DeployOptions { dir: dir.path().to_owned(), keys, ..DeployOptions::default() };
            let mut deployment = Deployment::new(Some(certificates()), options);
            deployment.connector = Arc::new(AtThatTime);
            let summary = deployment.up(&PlanOptions::default(), &|_| true).await.unwrap();
            let leaf = std::fs::read_to_string(dir.path().join("leaf.crt")).unwrap();
            ((summary.create, summary.update, summary.replace, summary.delete), leaf)
        };
        let (counts, first) = up(0).await;
        assert_eq!(counts, (5, 0, 0, 0));
        let (counts, same) = up(59).await;
        assert_eq!((counts, &same), ((0, 0, 0, 0), &first));

        // Thirty days before its end the leaf is renewed, and the file follows.
        let (counts, renewed) = up(60).await;
        assert_eq!(counts, (0, 2, 0, 0));
        assert_ne!(renewed, first);
        assert_eq!(up(61).await, ((0, 0, 0, 0), renewed.clone()));

        // When the authority is renewed, everything that it signed is signed again.
        let (counts, signed_again) = up(970).await;
        assert_eq!(counts, (0, 3, 0, 0));
        assert_ne!(signed_again, renewed);
        assert_eq!(up(970).await, ((0, 0, 0, 0), signed_again));
    }
}
