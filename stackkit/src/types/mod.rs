//! Property types whose equality is not that of their text: address blocks, JSON, policies, sets, caseless text, and
//! typed ids.

mod cidr;
mod id;
mod json;
mod policy;
mod set;
mod text;

pub use cidr::{Cidr, CidrError};
pub use id::Id;
pub use json::Json;
pub use policy::JsonPolicy;
pub use set::Set;
pub use text::CaselessText;

/// Lets outputs of one textual type stand for inputs of another; what the text says is checked once it is known.
macro_rules! flows {
    ($($from:ty => $into:ty),* $(,)?) => {$(
        impl crate::property::Flows<$into> for $from {}
        impl crate::property::Flows<Option<$into>> for $from {}
        impl crate::property::Flows<Option<$into>> for Option<$from> {}
        impl crate::property::Flows<crate::Secret<$into>> for crate::Secret<$from> {}
        impl crate::property::Flows<Option<crate::Secret<$into>>> for crate::Secret<$from> {}
    )*};
}
flows! {
    String => Cidr,
    String => Json,
    String => JsonPolicy,
    String => CaselessText,
    Json => JsonPolicy,
    Json => String,
    JsonPolicy => Json,
    JsonPolicy => String,
}

impl crate::property::FromText for Cidr {}
impl crate::property::FromText for Json {}
impl crate::property::FromText for JsonPolicy {}
impl crate::property::FromText for CaselessText {}
