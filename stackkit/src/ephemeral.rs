//! `Ephemeral<T>`: a secret that is good for minutes, and that nothing may keep.

use std::fmt;

use crate::property::{DecodeError, Fleeting, FromText, Property, PropertyField, Sampler};
use crate::secret::Secret;
use crate::value::Value;

/// A secret of this run alone, such as a token that ends in ten minutes. Nothing keeps it, not even sealed: it fits an
/// input that is marked `write_only`, a setting of a provider that is declared as `Ephemeral<_>`, and nothing else.
///
/// An input that was given one does not change because the next run has another one.
///
/// ```
/// use stackkit::prelude::*;
/// # use stackkit::lookup::{Answer, Lookup};
/// # use stackkit::provider::{NoSettings, Provider};
/// # use stackkit::{Context, Created, Error, Managed, Outcome, lookup};
/// # pub struct Acme;
/// # impl Provider for Acme {
/// #     const NAME: &'static str = "acme";
/// #     const TYPES: &'static [&'static dyn stackkit::Ops<Self>] = stackkit::types![Agent];
/// #     type Settings = NoSettings;
/// #     type Error = Error;
/// #     async fn connect(_: NoSettings) -> Result<Self, Error> { Ok(Acme) }
/// # }
///
/// /// A token by which an agent joins, once.
/// #[lookup("acme:JoinToken")]
/// pub struct JoinToken {
///     /// The token.
///     #[lookup(output)]
///     pub token: Ephemeral<String>,
/// }
///
/// /// An agent.
/// #[resource("acme:Agent")]
/// pub struct Agent {
///     /// What it joins with.
///     #[resource(write_only)]
///     pub join_token: Secret<String>,
/// }
/// # impl Lookup for JoinToken {
/// #     type Provider = Acme;
/// #     async fn look_up(_: &Acme, _: &Context, args: &JoinTokenArgs) -> Answer<Self> {
/// #         Ok(JoinTokenState { args: args.clone(), token: Ephemeral::new("t".to_owned()) })
/// #     }
/// # }
/// # impl Managed for Agent {
/// #     type Provider = Acme;
/// #     async fn create(_: &Acme, _: &Context, a: &AgentArgs) -> Outcome<Self, Created<Self>> {
/// #         Ok(Created::new("a", AgentState { args: a.clone() }))
/// #     }
/// #     async fn read(_: &Acme, _: &Context, _: &str, p: Option<&AgentState>) -> Outcome<Self, Option<AgentState>> {
/// #         Ok(p.cloned())
/// #     }
/// #     async fn update(_: &Acme, _: &Context, _: &str, p: &AgentState, _: &AgentArgs) -> Outcome<Self, AgentState> {
/// #         Ok(p.clone())
/// #     }
/// #     async fn delete(_: &Acme, _: &Context, _: &str, _: &AgentState) -> Outcome<Self, ()> { Ok(()) }
/// # }
///
/// #[stackkit::program(providers(Acme))]
/// async fn agents(stack: &mut Stack) -> Result<()> {
///     let join = stack.data("join", JoinToken::new());
///     stack.add("agent", Agent::new(&join.token));
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct Ephemeral<T: Property>(Secret<T>);

impl<T: Property> Ephemeral<T> {
    /// Marks a value as one that nothing may keep.
    pub fn new(value: T) -> Self {
        Self(Secret::new(value))
    }

    /// The plain value. Keep it out of messages, arguments of processes and files.
    pub fn reveal(&self) -> &T {
        self.0.reveal()
    }
}

impl<T: Property> fmt::Debug for Ephemeral<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[ephemeral]")
    }
}

impl<T: Property + PartialEq> PartialEq for Ephemeral<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<T: Property> From<T> for Ephemeral<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: Property> Property for Ephemeral<T> {
    type Mark = Fleeting;
    type Hidden = Self;
    fn to_value(&self) -> Value {
        self.0.to_value().into_ephemeral()
    }
    fn from_value(value: &Value) -> Result<Self, DecodeError> {
        if value.is_null() {
            let message = "it is ephemeral, so that the state has none, and the program gives none: run the command so \
                           that the program runs too, as with `destroy --run-program`";
            return Err(DecodeError::new(message));
        }
        Secret::from_value(value).map(Self)
    }
    fn canonical(value: Value) -> Value {
        Secret::<T>::canonical(value)
    }
    fn type_name() -> String {
        format!("Ephemeral<{}>", T::type_name())
    }
    fn sample(sampler: &Sampler) -> Value {
        T::sample(sampler).into_ephemeral()
    }
    fn hide(value: Value) -> Value {
        value.into_ephemeral()
    }
    fn describe() -> Option<&'static [PropertyField]> {
        T::describe()
    }
    fn describe_items() -> Option<&'static [PropertyField]> {
        T::describe_items()
    }
}

impl<T: FromText> FromText for Ephemeral<T> {
    fn text_value(text: &str) -> Value {
        T::text_value(text).into_secret()
    }
}
