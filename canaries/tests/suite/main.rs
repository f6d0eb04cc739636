//! Fifty secrets of every shape through every backend and every kind of key, with failures, deaths, saved plans, timelines
//! and rescue files: whatever is written and printed on the way is searched for every stretch of every one of them.

mod places;
mod stack;

use acceptance::{Canary, Wanted as _};
use places::{Keys, Place};
use stack::{Form, Stack};

#[test]
fn no_backend_is_ever_given_a_secret() {
    for (place, form) in [
        (Place::folder(), Form::Values),
        (Place::folder(), Form::Whole),
        (Place::postgres(), Form::Values),
        (Place::s3(), Form::Whole),
    ] {
        let stack = Stack::new(&place, &Keys::file());
        stack.lives(form);
        stack.is_clean(&place);
    }
}

#[test]
fn no_kind_of_key_lets_a_secret_out() {
    for keys in [Keys::passphrase(), Keys::age(), Keys::kms(), Keys::transit()] {
        let place = Place::folder();
        let stack = Stack::new(&place, &keys);
        stack.lives(Form::Values);
        stack.is_clean(&place);
    }
}

/// The test of the tests: one secret, or a part of one, put where it should not be.
#[test]
fn a_planted_leak_is_found_wherever_it_is() {
    let place = Place::folder();
    let stack = Stack::new(&place, &Keys::file());
    stack.up(&[]).expect(0);
    stack.is_clean(&place);
    let secret = stack.secret("1-plain");
    let of = |name: &str| stack.sandbox.stack().join(name);
    let plants: [(&str, Vec<u8>); 4] = [
        (".stackkit/dev.state.json", secret.reveal().into()),
        ("plan", [b"xy", &secret.reveal().as_bytes()[5..25]].concat()),
        (".stackkit/dev.rescue", stack.secret("2-awkward").reveal().replace('"', "\\\"").into()),
        ("run.html", stack.secret("0-bytes").reveal().to_uppercase().into()),
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

/// What a place holds is really looked at.
#[test]
fn what_a_place_holds_is_searched() {
    for place in [Place::folder(), Place::postgres(), Place::s3()] {
        let stack = Stack::new(&place, &Keys::file());
        stack.up(&[]).expect(0);
        let held = place.held(&stack.sandbox);
        // Names are readable there, so a canary that is one is found.
        assert!(Canary::of("nest:Egg::nest/egg-3").find(&held).is_some(), "{}", place.name());
        assert_eq!(stack.canaries.find_in(&held), Vec::<String>::new());
    }
}
