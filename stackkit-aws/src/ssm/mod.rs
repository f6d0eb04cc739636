//! AWS Systems Manager's parameters: secure ones, written, and any, read.

mod parameter;
mod value;

pub use parameter::{Parameter, ParameterArgs, ParameterOutputs, ParameterState};
pub use value::{ParameterValue, ParameterValueArgs, ParameterValueOutputs, ParameterValueState};
