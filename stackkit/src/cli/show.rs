//! `outputs`: what a stack has to say to people, scripts and other programs.

use crate::cli::args::Outputs;
use crate::cli::error::Failure;
use crate::cli::{App, note, print};
use crate::ui::{Paint, Secrets, count, nearest, render_outputs, to_json, to_text};
use crate::value::Value;

impl App {
    pub(super) async fn outputs(&self, options: &Outputs) -> Result<(), Failure> {
        let outputs = self.read_state(options.reading).await?.outputs;
        let secrets = Secrets::shown_if(options.show_secrets);
        let shown = |(name, value): &(&String, &Value)| {
            let plain = options.show_secrets && value.has_secret() && !value.has_sealed();
            plain && options.name.as_ref().is_none_or(|wanted| wanted == *name)
        };
        let revealed: Vec<String> = outputs.iter().filter(shown).map(|(name, _)| name.clone()).collect();
        if !revealed.is_empty() {
            self.deployment()?.record("outputs --show-secrets", revealed).await;
        }
        if let Some(name) = &options.name {
            let Some(value) = outputs.get(name) else {
                let failure = Failure::failed(format!("the stack `{}` has no output `{name}`", self.stack));
                let known: Vec<&str> = outputs.keys().map(String::as_str).collect();
                return Err(match nearest(name, known.iter().copied()) {
                    Some(near) => failure.help(format!("did you mean `{near}`?")),
                    None if known.is_empty() => failure.help("it has none; run `up` first"),
                    None => failure.help(format!("it has {}", known.join(", "))),
                });
            };
            if value.has_sealed() {
                return Err(Failure::failed(format!("the output `{name}` is sealed, and --unverified opens nothing"))
                    .help("leave out --unverified where a key of the stack is at hand"));
            }
            if value.has_secret() && !options.show_secrets {
                return Err(Failure::failed(format!("the output `{name}` is secret"))
                    .help("give --show-secrets to print it in plain text"));
            }
            let text = if self.json { to_json(value, secrets).to_string() } else { to_text(value, secrets) };
            print(&format!("{text}\n"));
            return Ok(());
        }
        if self.json {
            // A secret is left out rather than replaced by words that a script would take for it.
            let shows = |value: &Value| !value.has_secret() || (options.show_secrets && !value.has_sealed());
            let hidden = outputs.values().filter(|value| !shows(value)).count();
            let shown = outputs.iter().filter(|(_, value)| shows(value));
            let object: serde_json::Map<_, _> =
                shown.map(|(name, value)| (name.clone(), to_json(value, secrets))).collect();
            print(&format!("{}\n", serde_json::Value::Object(object)));
            if hidden > 0 {
                let way =
                    if options.reading.unverified { "they are sealed" } else { "--show-secrets prints everything" };
                note(&format!("{} left out; {way}", count(hidden, "secret output")));
            }
            return Ok(());
        }
        if outputs.is_empty() {
            note(&format!("The stack `{}` has no outputs", self.stack));
        }
        print(&render_outputs(&outputs, self.style(Paint::stdout()), secrets));
        Ok(())
    }
}
