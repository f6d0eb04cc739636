//! Bugs to be planted: small changes of the engine, each of which loses, doubles, disorders or betrays something. The
//! simulation must notice every one of them.

/// A bug, as a replacement of source text.
#[derive(Debug, Clone, Copy)]
pub struct Planted {
    /// What it breaks.
    pub name: &'static str,
    /// The file, from the root of the workspace.
    pub file: &'static str,
    /// The text as it is, which must stand there exactly once.
    pub old: &'static str,
    /// The text with the bug.
    pub new: &'static str,
}

/// Every bug.
pub const BUGS: &[Planted] = &[
    Planted {
        name: "the first dependency does not count (off by one)",
        file: "stackkit/src/plan/order.rs",
        old: "for dependency in dependencies.get(declared as usize).into_iter().flatten() {",
        new: "for dependency in dependencies.get(declared as usize).into_iter().flatten().skip(1) {",
    },
    Planted {
        name: "an old instance does not wait for the deletion of its users",
        file: "stackkit/src/plan/order.rs",
        old: "graph.add_edge(*user, *step, Why::StillUsed);",
        new: "let _ = user;",
    },
    Planted {
        name: "an old instance does not wait for the change of its users",
        file: "stackkit/src/plan/order.rs",
        old: "            graph.add_edge(user_step, *step, Why::StillUsed);",
        new: "            let _ = user_step;",
    },
    Planted {
        name: "the old instance goes before its successor is made",
        file: "stackkit/src/plan/order.rs",
        old: "graph.add_edge(successor, *step, Why::CreateFirst);",
        new: "let _ = successor;",
    },
    Planted {
        name: "an intent is written after its call has started",
        file: "stackkit/src/apply/mod.rs",
        old: "        if self.unsaved.is_none() && !self.pending.is_empty() {\n",
        new: "        for running in std::mem::take(&mut self.starts) {\n            self.start(*running);\n        }\n        if self.unsaved.is_none() && !self.pending.is_empty() {\n",
    },
    Planted {
        name: "removals are not written to the journal",
        file: "stackkit/src/apply/mod.rs",
        old: "            self.pending.push(change);\n",
        new: "            if matches!(change, Change::Put(_)) {\n                self.pending.push(change);\n            }\n",
    },
    Planted {
        name: "results are written later than what depends on them",
        file: "stackkit/src/apply/mod.rs",
        old: "            match self.job.durable.commit(&self.pending).await {\n                Ok(()) => self.pending.clear(),\n",
        new: "            let busy = !self.running.is_empty();\n            let (later, now): (Vec<_>, Vec<_>) = std::mem::take(&mut self.pending)\n                .into_iter()\n                .partition(|change| busy && matches!(change, Change::Put(Record::Resource(_))));\n            match self.job.durable.commit(&now).await {\n                Ok(()) => self.pending = later,\n",
    },
    Planted {
        name: "the id of a partial create is not kept",
        file: "stackkit/src/apply/mod.rs",
        old: "let intent = IntentRecord { id: Some(id), ..intent.clone() };",
        new: "drop(id);\n                    let intent = IntentRecord { id: None, ..intent.clone() };",
    },
    Planted {
        name: "what was replaced is forgotten instead of deleted later",
        file: "stackkit/src/apply/settle.rs",
        old: "                changes.push(Change::Put(Record::Resource(Box::new(old))));\n            }\n            None => {}\n        }\n        changes\n    }\n\n    fn updated(",
        new: "                changes.push(Change::Remove(Key::Resource(old.instance)));\n            }\n            None => {}\n        }\n        changes\n    }\n\n    fn updated(",
    },
    Planted {
        name: "a name that is taken is taken over from its owner",
        file: "stackkit/src/apply/settle.rs",
        old: "Ok(Answer::NameIsFree(Some(false))) => {",
        new: "Ok(Answer::NameIsFree(Some(false))) if running.args.is_empty() => {",
    },
    Planted {
        name: "a create of unknown outcome counts as not made",
        file: "stackkit/src/apply/settle.rs",
        old: "                None if open => {}\n",
        new: "",
    },
    Planted {
        name: "a delete that was cut short counts as done",
        file: "stackkit/src/recover.rs",
        old: "Ok(Some(_)) => Ok((vec![closed], \"an earlier run was cut short before it deleted it\".into())),",
        new: "Ok(Some(_)) => Ok((\n                        vec![closed, Change::Remove(Key::Resource(record.instance))],\n                        \"an earlier run deleted it\".into(),\n                    )),",
    },
    Planted {
        name: "the settle time is not waited for",
        file: "stackkit/src/recover.rs",
        old: "let until = began.map(|began| began + self.info.settle(schema));",
        new: "let until = began.map(|began| began + self.info.settle(schema) / 20);",
    },
    Planted {
        name: "an open update is forgotten",
        file: "stackkit/src/recover.rs",
        old: "                        record.status = Status::Incomplete;\n                        let put",
        new: "                        let put",
    },
    Planted {
        name: "what fails for good is tried again",
        file: "stackkit/src/apply/call.rs",
        old: "                    _ => true,\n                },\n                _ => false,\n",
        new: "                    _ => true,\n                },\n                _ => true,\n",
    },
    Planted {
        name: "a create of unknown outcome is repeated without a look",
        file: "stackkit/src/apply/call.rs",
        old: "FoundValues::Nothing if Instant::now() >= until => return Ok(None),",
        new: "FoundValues::Nothing if Instant::now() + self.info.settle(self.schema) >= until => return Ok(None),",
    },
    Planted {
        name: "an alias claims somebody else's record",
        file: "stackkit/src/plan/decide.rs",
        old: "_ => present = present.or_else(|| live.get(&old).copied()),",
        new: "_ => present = present.or_else(|| live.get(&old).or_else(|| live.values().next()).copied()),",
    },
    Planted {
        name: "a refresh drops every edge of who used what is gone",
        file: "stackkit/src/refresh.rs",
        old: "                user.dependencies.remove(&record.instance);\n                Change::Put",
        new: "                user.dependencies.clear();\n                Change::Put",
    },
    Planted {
        name: "what left the program is deleted though it is protected",
        file: "stackkit/src/plan/guard.rs",
        old: "goes && record.options.protect && record.status",
        new: "goes && record.options.protect && record.id.is_empty() && record.status",
    },
    Planted {
        name: "what is to be retained is deleted",
        file: "stackkit/src/plan/departed.rs",
        old: "} else if record.options.retain_on_delete {",
        new: "} else if record.options.retain_on_delete && record.id.is_empty() {",
    },
    Planted {
        name: "a lease that is over still writes",
        file: "stackkit/src/state/memory.rs",
        old: "            None => return Err(BackendError::Lost(None)),",
        new: "            None => {}",
    },
    Planted {
        name: "an entry that was cut short is read",
        file: "stackkit/src/state/local.rs",
        old: "        Some(Err(error)) if error.is_eof() => {}\n",
        new: "        Some(Err(error)) if error.is_eof() => lines.entries.push(tail.to_vec()),\n",
    },
    Planted {
        name: "a ciphertext stands in another's place",
        file: "stackkit/src/state/records.rs",
        old: "inputs: codec.seal_fields(at(Section::Inputs), &resource.inputs)?,",
        new: "inputs: codec.seal_fields(at(Section::Outputs), &resource.inputs)?,",
    },
    Planted {
        name: "a hook after a create is not recorded as due",
        file: "stackkit/src/apply/prepare.rs",
        old: "        intent.options.hook_due = hook::due(&hooks, HookDue::Create, None);\n",
        new: "",
    },
    Planted {
        name: "hooks before a call run after it",
        file: "stackkit/src/apply/hooks.rs",
        old: "        if before.is_empty() {\n            return running.take_intent();",
        new: "        if !before.is_empty() {\n            return running.take_intent();",
    },
    Planted {
        name: "what depends on something does not wait for its hooks",
        file: "stackkit/src/apply/hooks.rs",
        old: "        running.ask = Ask::After(Box::new(After { hooks, id, values, prior }));\n",
        new: "        self.settled(running.step, running.node, Some(running.verb), Some(running.started));\n        running.ask = Ask::After(Box::new(After { hooks, id, values, prior }));\n",
    },
    Planted {
        name: "what is excluded is changed all the same",
        file: "stackkit/src/plan/select.rs",
        old: "matches!(self, Standing::Asked | Standing::Needed | Standing::Dependent)",
        new: "!matches!(self, Standing::Left | Standing::Kept)",
    },
    Planted {
        name: "what a target stands on is deleted from under what is left out",
        file: "stackkit/src/plan/select.rs",
        old: "            things.keep(&mut standing, !options.targets.is_empty());\n",
        new: "",
    },
    Planted {
        name: "what is adopted may be somebody else's of this stack",
        file: "stackkit/src/refresh.rs",
        old: "            if known {\n                continue;\n            }\n            let refuse",
        new: "            let _ = known;\n            let refuse",
    },
];
