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

/// Lets outputs of plain text stand for an input of a type that is written as text; what the text says is checked once
/// it is known.
macro_rules! flows_from_text {
    ($($ty:ty),*) => {$(
        impl crate::property::FromText for $ty {}
        impl crate::property::Flows<$ty> for String {}
        impl crate::property::Flows<Option<$ty>> for String {}
        impl crate::property::Flows<Option<$ty>> for Option<String> {}
        impl crate::property::Flows<crate::Secret<$ty>> for crate::Secret<String> {}
        impl crate::property::Flows<Option<crate::Secret<$ty>>> for crate::Secret<String> {}
    )*};
}
flows_from_text!(Cidr, Json, JsonPolicy, CaselessText);
