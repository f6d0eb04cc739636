//! The engine's rules, one by one, on a mocked cloud.

mod ceiling;
mod checks;
mod components;
mod diff;
mod failure;
mod hooks;
mod imports;
mod migrations;
mod names;
mod options;
mod order;
mod policies;
mod protection;
mod reads;
mod reality;
mod refresh;
mod remedies;
mod saved_plans;
mod scale;
mod screens;
mod secrets;
mod select;
mod timeline;
mod toys;
mod transforms;
