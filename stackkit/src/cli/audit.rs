//! `audit …`: who did what to the stack, when and why, and whether that is as it was written.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::audit::{Event, Line, Outcome, Reading};
use crate::cli::args::AuditCommand;
use crate::cli::error::Failure;
use crate::cli::{App, note, print};
use crate::ui::{Paint, clean, count};

impl App {
    pub(super) async fn audit_command(&self, command: &AuditCommand) -> Result<(), Failure> {
        self.require_stack()?;
        let deployment = self.keyless();
        match command {
            AuditCommand::Show { last, since } => {
                let since = since.as_deref().map(|text| moment(text, OffsetDateTime::now_utc())).transpose()?;
                // What is older is left out by its time, so that all of it has to be read.
                let last_alone = last.filter(|_| since.is_none());
                let mut reading = deployment.audit_log(last_alone).await?;
                if reading.lines.iter().any(|line| matches!(line.event, Event::Sealed { .. })) {
                    reading = self.deployment()?.open_lines(reading).await?;
                }
                if let Some(since) = since {
                    reading.lines.retain(|line| line.time().is_none_or(|time| time >= since));
                }
                if let Some(last) = last {
                    let more = reading.lines.len().saturating_sub(usize::try_from(*last).unwrap_or(usize::MAX));
                    reading.lines.drain(..more);
                }
                self.show_audit(&reading);
                Ok(())
            }
            AuditCommand::Verify => {
                let report = self.deployment()?.verify_audit().await?;
                if self.json {
                    let faults = report.faults.iter();
                    let faults: Vec<_> = faults
                        .map(|fault| json!({ "line": fault.line(), "fault": fault.name(), "message": fault.to_string() }))
                        .collect();
                    let whole = faults.is_empty();
                    print(&format!("{}\n", json!({ "lines": report.lines, "whole": whole, "faults": faults })));
                    return if whole { Ok(()) } else { Err(Failure::said()) };
                }
                if !report.faults.is_empty() {
                    let faults = report.faults.iter().map(ToString::to_string);
                    return Err(Failure::several(faults).help(
                        "compare with a copy: `audit export FILE` writes what is there, a store's old versions and backups have what was",
                    ));
                }
                match report.lines {
                    0 => note("There is nothing in the audit log yet"),
                    lines => note(&format!("The audit log is whole: {}, each as it was written", count(lines, "line"))),
                }
                Ok(())
            }
            AuditCommand::Export { file } => {
                let reading = deployment.audit_log(None).await?;
                let text: String = reading.lines.iter().flat_map(|line| [line.text.as_str(), "\n"]).collect();
                write(file, &text)?;
                self.note_unreadable(&reading);
                note(&format!("Wrote {} to {}", count(reading.lines.len(), "line"), file.display()));
                Ok(())
            }
        }
    }

    fn show_audit(&self, reading: &Reading) {
        if self.json {
            let text: String = reading.lines.iter().flat_map(|line| [line.text.as_str(), "\n"]).collect();
            print(&text);
            return;
        }
        print(&render(&reading.lines, Paint::stdout()));
        self.note_unreadable(reading);
        if reading.lines.is_empty() {
            note("There is nothing in the audit log");
        }
    }

    fn note_unreadable(&self, reading: &Reading) {
        if reading.unreadable > 0 {
            let texts = count(reading.unreadable, "text");
            note(&format!("{texts} among the lines cannot be read: `audit verify` says where"));
        }
    }
}

fn write(file: &Path, text: &str) -> Result<(), Failure> {
    let failed = |error| Failure::failed(format!("cannot write `{}`: {error}", file.display()));
    crate::state::local::write_private(file, text.as_bytes()).map_err(failed)
}

/// A moment as people write it: `7d`, `12h`, `30m` ago, a day or an RFC 3339 time.
fn moment(text: &str, now: OffsetDateTime) -> Result<OffsetDateTime, Failure> {
    let ago = |unit: &str, seconds: u64| {
        let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
        now.checked_sub(Duration::from_secs(number.checked_mul(seconds)?).try_into().ok()?)
    };
    let day = || OffsetDateTime::parse(&format!("{text}T00:00:00Z"), &Rfc3339).ok();
    let whole = || OffsetDateTime::parse(text, &Rfc3339).ok();
    let found = ago("d", 86_400).or_else(|| ago("h", 3_600)).or_else(|| ago("m", 60)).or_else(day).or_else(whole);
    found.ok_or_else(|| {
        Failure::usage(format!("`{}` is no moment", clean(text)))
            .help("write `7d`, `12h` or `30m` for so long ago, `2026-01-31`, or `2026-01-31T12:00:00Z`")
    })
}

fn render(lines: &[Line], paint: Paint) -> String {
    let mut people = BTreeMap::new();
    let mut ended = BTreeSet::new();
    for line in lines {
        match &line.event {
            Event::Begin { who, .. } | Event::Command { who, .. } => drop(people.insert(&line.run, who.words())),
            Event::End { .. } => drop(ended.insert(&line.run)),
            _ => {}
        }
    }
    let width = people.values().map(|who| clean(who).chars().count()).max().unwrap_or_default().min(32);
    let last = lines.last().map(|line| &line.run);
    let mut out = String::new();
    for line in lines {
        let who = people.get(&line.run).map(|who| clean(who)).unwrap_or_default();
        let text = words(&line.event, paint);
        let open = matches!(line.event, Event::Begin { .. }) && !ended.contains(&line.run);
        let cut = match open {
            true if last == Some(&line.run) => paint.yellow("; it has not ended"),
            true => paint.yellow("; it was cut short"),
            false => String::new(),
        };
        out.push_str(&format!("{}  {who:<width$}  {text}{cut}\n", paint.dim(clean(&line.at))));
    }
    out
}

fn listed(of: &[String]) -> String {
    if of.is_empty() { String::new() } else { format!(" {}", clean(&of.join(" "))) }
}

fn said(message: Option<&str>) -> String {
    message.map_or_else(String::new, |message| format!(": {}", clean(message)))
}

fn words(event: &Event, paint: Paint) -> String {
    match event {
        Event::Begin { command, options, of, message, .. } => {
            let options: Vec<_> = options.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let options = listed(&options);
            format!("{}{}{options}{}", paint.bold(clean(command)), listed(of), said(message.as_deref()))
        }
        Event::Command { command, of, message, .. } => {
            format!("{}{}{}", paint.bold(clean(command)), listed(of), said(message.as_deref()))
        }
        Event::Recovered { urn, found, .. } => format!("  {}: {}", clean(urn), clean(found)),
        Event::Found { urn, gone: true, .. } => format!("  {} is gone", clean(urn)),
        Event::Found { urn, fields, .. } if fields.is_empty() => format!("  {} is not as it was", clean(urn)),
        Event::Found { urn, fields, .. } => {
            format!("  {} was changed from outside: {}", clean(urn), clean(&fields.join(", ")))
        }
        Event::Plan { digest, counts, identities } => {
            let as_whom: Vec<_> = identities.iter().map(|(name, id)| format!("{name} as {id}")).collect();
            let as_whom = if as_whom.is_empty() { String::new() } else { format!(", {}", clean(&as_whom.join(", "))) };
            let short: String = digest.chars().take(8).collect();
            let counts = counts.words();
            let counts = if counts.is_empty() { "outputs alone".to_owned() } else { counts };
            format!("  plan {}: {counts}{as_whom}", clean(&short))
        }
        Event::Step { urn, verb, outcome, because, error, .. } => {
            let verb = format!("{:<8}", clean(verb));
            let urn = clean(urn);
            let why = if because.is_empty() { String::new() } else { format!(" ({})", clean(&because.join("; "))) };
            match (outcome, error) {
                (Outcome::Done, _) => format!("  {verb} {urn}{}", paint.dim(why)),
                (other, error) => {
                    let error = said(error.as_deref());
                    format!("  {verb} {urn} {}{error}", paint.yellow(other.name()))
                }
            }
        }
        Event::End { outcome, of, counts } => {
            let counts = counts.words();
            let counts = if counts.is_empty() { String::new() } else { format!(": {counts}") };
            format!("  {}{}{counts}", outcome.name(), listed(of))
        }
        Event::Sealed { .. } => "  sealed".to_owned(),
        _ => "  something that a newer program wrote".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Line;

    fn line(text: &str) -> Line {
        let text = format!("{{{text},\"key\":\"k\",\"prev\":\"\",\"chain\":\"\"}}");
        Line::parse(&text).unwrap_or_else(|| panic!("{text}"))
    }

    #[test]
    fn people_read_who_did_what() {
        let run = |n: u64, rest: &str| {
            line(&format!("\"n\":{n},\"at\":\"2026-01-31T12:00:0{n}Z\",\"run\":\"one\",\"event\":{rest}"))
        };
        let lines = [
            run(
                1,
                r#""begin","command":"up","options":{"targets":["a*"]},"who":{"user":"ada@box"},"message":"new\nthing""#,
            ),
            run(2, r#""plan","digest":"abcdefghijkl","counts":{"create":1},"as":{"aws":"1234"}"#),
            run(3, r#""step","urn":"t:T::a","instance":"00","verb":"create","outcome":"done","because":["it is new"]"#),
            run(4, r#""step","urn":"t:T::b","verb":"delete","outcome":"failed","error":"no""#),
            run(5, r#""end","outcome":"failed","counts":{"create":1,"failed":1}"#),
            line(
                r#""n":6,"at":"x","run":"two","event":"command","command":"state rm","of":["t:T::a"],"who":{"user":"bo@box"}"#,
            ),
        ];
        assert_eq!(
            render(&lines, Paint::PLAIN),
            "\
2026-01-31T12:00:01Z  ada@box  up targets=[\"a*\"]: new\\nthing
2026-01-31T12:00:02Z  ada@box    plan abcdefgh: 1 create, aws as 1234
2026-01-31T12:00:03Z  ada@box    create   t:T::a (it is new)
2026-01-31T12:00:04Z  ada@box    delete   t:T::b failed: no
2026-01-31T12:00:05Z  ada@box    failed: 1 create, 1 failed
x  bo@box   state rm t:T::a
"
        );
        let begun = render(&lines[..1], Paint::PLAIN);
        assert!(begun.ends_with("; it has not ended\n"), "{begun}");
        let cut = [lines[0].clone(), lines[5].clone()];
        assert!(render(&cut, Paint::PLAIN).contains("; it was cut short\n"));
    }

    #[test]
    fn a_moment_is_a_day_a_time_or_so_long_ago() {
        let now = OffsetDateTime::parse("2026-02-01T00:00:00Z", &Rfc3339).expect("a time");
        let found = |text: &str| moment(text, now).map(|time| time.format(&Rfc3339).expect("a time")).ok();
        assert_eq!(found("1d").as_deref(), Some("2026-01-31T00:00:00Z"));
        assert_eq!(found("2h").as_deref(), Some("2026-01-31T22:00:00Z"));
        assert_eq!(found("2026-01-02").as_deref(), Some("2026-01-02T00:00:00Z"));
        assert_eq!(found("2026-01-02T03:04:05+01:00").as_deref(), Some("2026-01-02T03:04:05+01:00"));
        for wrong in ["", "d", "yesterday", "-1d", "99999999999999999999d", "18446744073709551615d"] {
            assert!(found(wrong).is_none(), "{wrong}");
        }
    }
}
