//! `Chain`: who asks, found where other tools of Azure look for it, one place after the other.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use azure_core::credentials::{AccessToken, Secret, TokenCredential, TokenRequestOptions};
use azure_core::error::ErrorKind;
use azure_identity::{
    AzureCliCredential, AzureDeveloperCliCredential, ClientSecretCredential, ManagedIdentityCredential,
    ManagedIdentityCredentialOptions, UserAssignedId, WorkloadIdentityCredential,
};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::answer::chain;

/// The variable that says which of the places are looked at, as in Azure's SDKs.
const CHOICE: &str = "AZURE_TOKEN_CREDENTIALS";
/// The metadata service of Azure's machines, and how long it is waited for: elsewhere nobody answers at its address.
const METADATA: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)), 80);
const PROBE: Duration = Duration::from_secs(1);

/// A place where credentials are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Environment,
    Workload,
    Managed,
    Cli,
    DeveloperCli,
}

impl Place {
    const ALL: [Self; 5] = [Self::Environment, Self::Workload, Self::Managed, Self::Cli, Self::DeveloperCli];

    /// Its name in `AZURE_TOKEN_CREDENTIALS`.
    fn name(self) -> &'static str {
        match self {
            Self::Environment => "EnvironmentCredential",
            Self::Workload => "WorkloadIdentityCredential",
            Self::Managed => "ManagedIdentityCredential",
            Self::Cli => "AzureCliCredential",
            Self::DeveloperCli => "AzureDeveloperCliCredential",
        }
    }

    /// Those that a choice names.
    fn chosen(choice: Option<&str>) -> Result<Vec<Self>, String> {
        let deployed = |place: &Self| matches!(place, Self::Environment | Self::Workload | Self::Managed);
        let same = |name: &str| Self::ALL.into_iter().find(|place| place.name().eq_ignore_ascii_case(name));
        match choice {
            None => Ok(Self::ALL.to_vec()),
            Some(all) if all.eq_ignore_ascii_case("prod") => Ok(Self::ALL.into_iter().filter(deployed).collect()),
            Some(all) if all.eq_ignore_ascii_case("dev") => {
                Ok(Self::ALL.into_iter().filter(|place| !deployed(place)).collect())
            }
            Some(name) => same(name).map(|place| vec![place]).ok_or_else(|| {
                let known = Self::ALL.map(Self::name).join(", ");
                format!("{CHOICE} is `{}`, which is none of dev, prod, {known}", name.escape_debug())
            }),
        }
    }
}

/// A variable of the environment; an empty one counts as unset.
type Variables<'a> = &'a (dyn Fn(&str) -> Option<String> + Sync);

/// One place that credentials may come from.
#[derive(Debug)]
struct Source {
    name: &'static str,
    /// What the environment sets up in full is meant: that it fails is no reason to take other credentials.
    meant: bool,
    /// Whether Azure's metadata service has to be there.
    probe: bool,
    credential: Arc<dyn TokenCredential>,
}

/// Credentials from the first place that has some.
#[derive(Debug)]
pub(crate) struct Chain {
    sources: Vec<Source>,
    /// The source that gave the first token; all later ones come from there.
    found: AtomicUsize,
}

/// What the environment, the machine and the developer's tools give. Nothing is asked before a token is needed.
///
/// # Errors
/// When the environment says something that makes no sense.
pub(crate) fn from_env() -> Result<Arc<dyn TokenCredential>, String> {
    let variables = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    Ok(Arc::new(Chain::new(&variables)?))
}

impl Chain {
    fn new(variables: Variables<'_>) -> Result<Self, String> {
        let choice = variables(CHOICE);
        let mut sources = Vec::new();
        for place in Place::chosen(choice.as_deref())? {
            let made = source(place, variables).map_err(|error| format!("{}: {}", place.name(), chain(&error)))?;
            match made {
                Some(source) => sources.push(source),
                None if choice.as_deref().is_some_and(|choice| choice.eq_ignore_ascii_case(place.name())) => {
                    return Err(format!("{CHOICE} asks for {}, and the environment does not set it up", place.name()));
                }
                None => {}
            }
        }
        Ok(Self { sources, found: AtomicUsize::new(usize::MAX) })
    }
}

/// The source of a place, or none where the environment does not set it up.
fn source(place: Place, variables: Variables<'_>) -> azure_core::Result<Option<Source>> {
    let client = variables("AZURE_CLIENT_ID");
    let (mut meant, mut probe) = (false, false);
    let credential: Arc<dyn TokenCredential> = match place {
        Place::Environment => {
            let (Some(tenant), Some(client), Some(secret)) =
                (variables("AZURE_TENANT_ID"), client, variables("AZURE_CLIENT_SECRET"))
            else {
                return Ok(None);
            };
            meant = true;
            ClientSecretCredential::new(&tenant, client, Secret::new(secret), None)?
        }
        Place::Workload => {
            let needed = ["AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_FEDERATED_TOKEN_FILE"];
            if needed.iter().any(|name| variables(name).is_none()) {
                return Ok(None);
            }
            meant = true;
            WorkloadIdentityCredential::new(None)?
        }
        Place::Managed => {
            probe = variables("IDENTITY_ENDPOINT").is_none() && variables("MSI_ENDPOINT").is_none();
            let options = ManagedIdentityCredentialOptions {
                user_assigned_id: client.map(UserAssignedId::ClientId),
                ..ManagedIdentityCredentialOptions::default()
            };
            // Of a kind that the library does not know: the places after it may have something.
            match ManagedIdentityCredential::new(Some(options)) {
                Ok(credential) => credential,
                Err(_) => return Ok(None),
            }
        }
        Place::Cli => AzureCliCredential::new(None)?,
        Place::DeveloperCli => AzureDeveloperCliCredential::new(None)?,
    };
    Ok(Some(Source { name: place.name(), meant, probe, credential }))
}

async fn metadata_is_there() -> bool {
    matches!(timeout(PROBE, TcpStream::connect(METADATA)).await, Ok(Ok(_)))
}

#[async_trait]
impl TokenCredential for Chain {
    async fn get_token(
        &self,
        scopes: &[&str],
        options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        if let Some(source) = self.sources.get(self.found.load(Ordering::Relaxed)) {
            return source.credential.get_token(scopes, options).await;
        }
        let mut tried = Vec::new();
        for (index, source) in self.sources.iter().enumerate() {
            if source.probe && !metadata_is_there().await {
                tried.push(format!("{}: this is no machine of Azure", source.name));
                continue;
            }
            match source.credential.get_token(scopes, options.clone()).await {
                Ok(token) => {
                    self.found.store(index, Ordering::Relaxed);
                    return Ok(token);
                }
                Err(error) => {
                    tried.push(format!("{}: {}", source.name, chain(&error)));
                    if source.meant {
                        break;
                    }
                }
            }
        }
        Err(azure_core::Error::with_message(
            ErrorKind::Credential,
            format!("no usable Azure credentials ({})", tried.join("; ")),
        ))
    }
}

#[cfg(test)]
mod tests {
    use azure_core::time::OffsetDateTime;

    use super::*;

    fn names(set: &[(&str, &str)]) -> Result<Vec<&'static str>, String> {
        let variables = |name: &str| set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Ok(Chain::new(&variables)?.sources.iter().map(|source| source.name).collect())
    }

    #[test]
    fn what_the_environment_sets_up_comes_first() {
        let tools = ["ManagedIdentityCredential", "AzureCliCredential", "AzureDeveloperCliCredential"];
        assert_eq!(names(&[]), Ok(tools.to_vec()));
        let tenant = ("AZURE_TENANT_ID", "11111111-1111-1111-1111-111111111111");
        let principal = [tenant, ("AZURE_CLIENT_ID", "app"), ("AZURE_CLIENT_SECRET", "hush")];
        assert_eq!(names(&principal), Ok([&["EnvironmentCredential"][..], &tools].concat()));
        // Half of a service principal is none.
        assert_eq!(names(&principal[..2]), Ok(tools.to_vec()));
        assert_eq!(names(&[(CHOICE, "dev")]), Ok(tools[1..].to_vec()));
        assert_eq!(names(&[(CHOICE, "Prod")]), Ok(tools[..1].to_vec()));
        assert_eq!(names(&[(CHOICE, "azureclicredential")]), Ok(vec!["AzureCliCredential"]));
        assert!(names(&[(CHOICE, "magic")]).is_err_and(|error| error.contains("none of dev, prod")));
        let none = names(&[(CHOICE, "EnvironmentCredential")]);
        assert!(none.is_err_and(|error| error.contains("does not set it up")));
    }

    #[derive(Debug)]
    struct Gives(Option<&'static str>);

    #[async_trait]
    impl TokenCredential for Gives {
        async fn get_token(&self, _: &[&str], _: Option<TokenRequestOptions<'_>>) -> azure_core::Result<AccessToken> {
            match self.0 {
                Some(token) => Ok(AccessToken::new(token, OffsetDateTime::now_utc())),
                None => Err(azure_core::Error::with_message(ErrorKind::Credential, "not logged in")),
            }
        }
    }

    fn of(sources: &[(&'static str, bool, Option<&'static str>)]) -> Chain {
        let source = |(name, meant, token): &(&'static str, bool, Option<&'static str>)| Source {
            name,
            meant: *meant,
            probe: false,
            credential: Arc::new(Gives(*token)),
        };
        Chain { sources: sources.iter().map(source).collect(), found: AtomicUsize::new(usize::MAX) }
    }

    #[tokio::test]
    async fn the_first_that_has_some_gives_them_and_what_is_meant_and_fails_ends_the_search() {
        let chain = of(&[("a", false, None), ("b", false, Some("token"))]);
        let token = chain.get_token(&["scope"], None).await.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(token.token.secret(), "token");
        assert_eq!(chain.found.load(Ordering::Relaxed), 1);
        let meant = of(&[("a", true, None), ("b", false, Some("token"))]);
        let error = meant.get_token(&["scope"], None).await.err().map(|error| error.to_string()).unwrap_or_default();
        assert_eq!(error, "no usable Azure credentials (a: not logged in)");
    }
}
