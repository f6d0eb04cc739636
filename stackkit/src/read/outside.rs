//! What a program may ask of the world while it runs: look-ups that it awaits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::Mutex;

use crate::catalog::Catalog;
use crate::connections::{Connections, Connector};
use crate::context::RunInfo;
use crate::lookup::Query;
use crate::read::{Asked, ask};
use crate::refresh::read_context;
use crate::resource::Values;
use crate::schema::Role;
use crate::scrub::Scrubber;
use crate::state::model::State;
use crate::urn::Urn;
use crate::value::Value;

/// Connections to providers, for a program that is running. The run that follows goes on with them.
pub(crate) struct Outside {
    info: Arc<RunInfo>,
    recorded: BTreeMap<String, Recorded>,
    connections: Mutex<Connections>,
    scrubber: Scrubber,
}

/// What the state has of a provider instance.
struct Recorded {
    settings: Value,
    /// Who and where it is, if anything was made with it.
    identity: Option<String>,
}

impl Outside {
    pub(crate) fn new(
        catalog: Arc<Catalog>,
        connector: Arc<dyn Connector>,
        info: Arc<RunInfo>,
        state: &State,
        scrubber: Scrubber,
    ) -> Self {
        let used: BTreeSet<&str> = if state.providers.is_empty() {
            BTreeSet::new()
        } else {
            let of_resources = state.resources.values().map(|record| record.provider.as_str());
            of_resources.chain(state.intents.values().map(|intent| intent.provider.as_str())).collect()
        };
        let recorded = state.providers.iter().map(|(name, record)| {
            let identity = record.identity.clone().filter(|_| used.contains(name.as_str()));
            (name.clone(), Recorded { settings: record.settings.clone(), identity })
        });
        let recorded = recorded.collect();
        let connections = Mutex::new(Connections::new(catalog, connector));
        Self { info, recorded, connections, scrubber }
    }

    /// What was opened and learnt.
    pub(crate) fn into_parts(self) -> (Connections, Scrubber) {
        (self.connections.into_inner(), self.scrubber)
    }

    /// Asks a provider. `settings` are what the program has given its instance so far.
    pub(crate) async fn look_up(
        &self,
        query: Arc<dyn Query>,
        args: Values,
        instance: &str,
        settings: Option<Value>,
    ) -> Result<Values, String> {
        let schema = query.schema();
        for (field, value) in schema.fields.iter().zip(&args).filter(|(field, _)| field.role == Role::Input) {
            if !value.is_known() {
                return Err(format!(
                    "`{}` is an output, which nobody knows while the program runs: give a plain value, or declare the \
                     look-up with `stack.data(…)`",
                    field.name
                ));
            }
            if !(value.is_null() && field.default.is_some()) {
                (field.ty.check)(value).map_err(|error| format!("`{}`: {error}", field.name))?;
            }
        }
        self.scrubber.learn_all(&args);
        let recorded = self.recorded.get(instance);
        let settings = match settings {
            Some(given) if given.is_known() => given,
            Some(_) => recorded.map(|recorded| recorded.settings.clone()).ok_or_else(|| {
                format!(
                    "the settings of the provider instance `{instance}` depend on resources that are still to be made: \
                     look up what decides the program through an instance with known settings"
                )
            })?,
            None => recorded.map(|recorded| recorded.settings.clone()).unwrap_or_default(),
        };
        self.scrubber.learn(&settings);
        let identity = || recorded.and_then(|recorded| recorded.identity.clone());
        let opened = self.connections.lock().await.open(instance, &settings, identity).await;
        let scrubbed = |message: &str| self.scrubber.scrub(message);
        let connection = opened.map_err(|error| scrubbed(&error.to_string()))?;
        let cx = read_context(&self.info, Urn::new(schema.type_name, "(program)"));
        let values = ask(Asked::question(query, args, connection, cx)).await;
        let values = values.map_err(|error| scrubbed(error.message()))?;
        self.scrubber.learn_all(&values);
        Ok(values)
    }
}

impl std::fmt::Debug for Outside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outside").finish_non_exhaustive()
    }
}
