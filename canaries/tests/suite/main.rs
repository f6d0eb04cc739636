//! Fifty secrets of every shape through every backend and every kind of key, with failures, deaths, saved plans, timelines,
//! rescue files and audit logs: whatever is written, sent and printed on the way is searched for every stretch of every one
//! of them.
//!
//! Each backend and each kind of key goes through everything at least once. `STACKKIT_CANARIES=all` takes every backend
//! with every kind of key, both beginning sealed value by value and as a whole.

mod keys;
mod places;
mod stack;
mod way;

use std::time::Instant;

use acceptance::{Canary, Wanted as _};
use keys::Keys;
use places::Place;
use stack::{Form, Stack};

/// Each kind of place with a kind of keys, and the form that it begins in. Every kind of keys is among them.
const USUAL: [(places::Kind, keys::Kind, Form); 7] = [
    (Place::ALL[0], Keys::ALL[0], Form::Values),
    (Place::ALL[1], Keys::ALL[2], Form::Whole),
    (Place::ALL[2], Keys::ALL[3], Form::Values),
    (Place::ALL[3], Keys::ALL[4], Form::Whole),
    (Place::ALL[4], Keys::ALL[1], Form::Values),
    (Place::ALL[5], Keys::ALL[6], Form::Whole),
    (Place::ALL[0], Keys::ALL[5], Form::Whole),
];

/// A whole life in a place.
fn lives(place: fn() -> Place, (name, keys): keys::Kind, form: Form) {
    let begun = Instant::now();
    let (place, keys) = (place(), keys());
    let stack = Stack::new(&place, &keys, form);
    stack.lives(&place, form);
    let (searched, took) = (stack.searched() / 1024, begun.elapsed().as_secs());
    println!("{}, {name}, {form:?} first: nothing in {searched} KiB, {took} s", place.name());
}

#[test]
fn no_place_is_ever_given_a_secret_and_no_key_lets_one_out() {
    let all = std::env::var("STACKKIT_CANARIES").is_ok_and(|which| which == "all");
    let product: Vec<_> = Keys::ALL.into_iter().flat_map(|keys| Form::ALL.map(|form| (keys, form))).collect();
    let lived: Vec<(places::Kind, Vec<_>)> = match all {
        true => Place::ALL.into_iter().map(|place| (place, product.clone())).collect(),
        false => USUAL.into_iter().map(|(place, keys, form)| (place, vec![(keys, form)])).collect(),
    };
    std::thread::scope(|scope| {
        // Most of a life is waiting for locks of the dead, so the places live side by side.
        for ((name, place), lived) in lived {
            let live = move || lived.into_iter().for_each(|(keys, form)| lives(place, keys, form));
            std::thread::Builder::new().name(name.to_owned()).spawn_scoped(scope, live).expect("a thread");
        }
    });
}

/// A kind of keys or place that is added is in the usual ones too.
#[test]
fn every_kind_of_place_and_of_keys_is_usual() {
    for (name, _) in Place::ALL {
        assert!(USUAL.iter().any(|((place, _), ..)| *place == name), "{name}");
    }
    for (name, _) in Keys::ALL {
        assert!(USUAL.iter().any(|(_, (keys, _), _)| *keys == name), "{name}");
    }
}

/// The test of the tests: one secret, or a part of one, put where it should not be.
#[test]
fn a_planted_leak_is_found_wherever_it_is() {
    let place = Place::folder();
    let stack = Stack::new(&place, &Keys::file(), Form::Values);
    stack.up(&[]).expect(0);
    stack.is_clean(&place);
    let secret = stack.secret("1-plain");
    let of = |name: &str| stack.sandbox.stack().join(name);
    let plants: [(&str, Vec<u8>); 5] = [
        (".stackkit/dev.state.json", secret.reveal().into()),
        ("plan", [b"xy", &secret.reveal().as_bytes()[5..25]].concat()),
        (".stackkit/dev.rescue", stack.secret("2-awkward").reveal().replace('"', "\\\"").into()),
        ("run.html", stack.secret("0-bytes").reveal().to_uppercase().into()),
        ("audit.jsonl", stack.secret("3-json").reveal().replace('"', "\\\"").into()),
    ];
    for (name, planted) in plants {
        let path = of(name);
        let before = std::fs::read(&path).ok();
        std::fs::write(&path, [before.clone().unwrap_or_default(), planted].concat()).expect("written");
        let traces = stack.traces();
        assert!(traces.iter().any(|trace| trace.contains(name)), "{name}: {traces:?}");
        match before {
            Some(bytes) => std::fs::write(&path, bytes).expect("written"),
            None => std::fs::remove_file(&path).expect("removed"),
        }
    }
    assert_eq!(stack.traces(), Vec::<String>::new());
    // A secret in the name of a file, in the arguments of a process, and on the screen, because that was asked for.
    let named = of(secret.reveal());
    std::fs::write(&named, "").expect("written");
    assert_ne!(stack.traces(), Vec::<String>::new());
    std::fs::remove_file(named).expect("removed");
    stack.sandbox.run(&["outputs", "component", "--show-secrets"]).expect(0);
    assert!(stack.traces().iter().any(|trace| trace.contains("what was printed (3-made")), "{:?}", stack.traces());
    stack.sandbox.run(&["config", "set", "more", secret.reveal()]);
    assert!(stack.traces().iter().any(|trace| trace.contains("the arguments of a process")), "{:?}", stack.traces());
}

/// What a place holds, and what is sent there, is really looked at: what stands there is found, and so is one secret, or
/// a part of one, that is put there as a file, a row, an object, a blob or a Secret.
#[test]
fn a_planted_leak_is_found_in_every_kind_of_place() {
    for (name, place) in Place::ALL {
        let place = place();
        let stack = Stack::new(&place, &Keys::file(), Form::Values);
        stack.up(&[]).expect(0);
        // Names are readable in a state that is sealed value by value, so a canary that is one is found.
        let named = Canary::of("nest:Egg::nest/egg-3");
        if let Some(way) = place.way.as_ref().filter(|_| name != "Kubernetes") {
            let sent = way.sent();
            assert!(named.find(&sent).is_some(), "{name}: nothing is seen on the way");
            assert_eq!(stack.canaries.find_in(&sent), Vec::<String>::new(), "{name}");
        }
        let held = place.held(&stack.sandbox);
        assert!(named.find(&held).is_some(), "{name}");
        assert_eq!(stack.canaries.find_in(&held), Vec::<String>::new(), "{name}");
        // A part of it is enough.
        let planted = [b"xy", &stack.secret("1-plain").reveal().as_bytes()[5..25], b"z"].concat();
        place.plant(&stack.sandbox, &planted);
        let found = stack.canaries.find_in(&place.stored(&stack.sandbox));
        assert!(!found.is_empty() && found.iter().all(|found| found.starts_with("1-plain, ")), "{name}: {found:?}");
    }
}
