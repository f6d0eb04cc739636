//! What programs import: `use stackkit::prelude::*;`.

pub use crate::local;
pub use crate::output::join;
pub use crate::{
    Cidr, Component, Ephemeral, Guard, Handle, Input, IntoInput, Json, JsonPolicy, Output, Program, ProgramError,
    Properties, Result, Scope, Secret, Stack, cidr, json, list, map, resource, text,
};
