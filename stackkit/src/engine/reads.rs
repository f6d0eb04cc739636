//! Reads before the plan: everything that can be known by then, in parallel.

use std::sync::Arc;

use tokio::task::JoinSet;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::engine::{Run, RunError};
use crate::event::Event;
use crate::plan::ReadyRead;
use crate::read::{Asked, Behind, FIRST, Neighbours, Subject, ask};
use crate::refresh::Recorded;
use crate::stack::Declarations;

impl Run<'_> {
    /// Makes every read that depends on no resource: other stacks first, for what providers are asked with, and how
    /// they are reached, may come from there.
    pub(super) async fn read_ahead(&mut self, declared: &Declarations) -> Result<(), RunError> {
        if declared.reads.is_empty() {
            return Ok(());
        }
        let deployment = self.deployment;
        let neighbours = Neighbours {
            stack: &deployment.options.stack,
            dir: &self.info.dir,
            source: &deployment.source,
            given: &deployment.given,
        };
        neighbours.read(&declared.reads).await.map_err(|all| RunError::Diagnostics(Diagnostics(all)))?;
        for read in declared.reads.iter() {
            self.scrubber.learn_all(read.values());
        }
        let behind = Behind::of(declared);
        loop {
            let ready = {
                let lookup = Recorded::of(declared, &self.session.state);
                let open = declared.reads.iter().enumerate().filter(|(index, read)| {
                    !read.is_found()
                        && !matches!(read.subject, Subject::Stack { .. })
                        && behind.needs(FIRST + *index as u32).0.is_empty()
                });
                // What cannot be resolved is for the plan to report.
                open.filter_map(|(read, declared)| {
                    Some(ReadyRead { read, inputs: declared.resolved(&lookup).ok().flatten()? })
                })
                .collect::<Vec<_>>()
            };
            if ready.is_empty() {
                return Ok(());
            }
            self.read(declared, ready).await?;
        }
    }

    /// [`Run::read_ahead`] where a provider's settings come from a read; for what only looks at what is recorded.
    pub(super) async fn read_for_settings(&mut self, declared: &Declarations) -> Result<(), RunError> {
        let mut needed = false;
        for provider in &declared.providers {
            provider.settings.references(&mut |to| needed |= to >= FIRST);
        }
        if needed { self.read_ahead(declared).await } else { Ok(()) }
    }

    /// Makes reads of which everything is known.
    pub(super) async fn read(&mut self, declared: &Declarations, ready: Vec<ReadyRead>) -> Result<(), RunError> {
        self.deployment.options.listener.event(&Event::Reading { count: ready.len() });
        let (mut problems, mut queue) = (Vec::new(), Vec::new());
        for ReadyRead { read: index, inputs } in ready {
            let Some(read) = declared.reads.get(index) else { continue };
            self.scrubber.learn_all(&inputs);
            let wrong = read.problems(&inputs);
            if !wrong.is_empty() {
                problems.extend(wrong);
                continue;
            }
            let (mut reality, state) = self.reality(declared);
            let catalog = reality.catalog;
            let info = Arc::clone(&reality.info);
            match reality.connection(read.provider_instance().unwrap_or_default(), state).await {
                Ok(connection) => match Asked::of(read, inputs, connection, catalog, &info) {
                    Ok(asked) => queue.push((index, asked)),
                    Err(message) => problems.push(Diagnostic::invalid(message).on(&read.urn).at(read.at)),
                },
                Err(problem) if !problems.contains(&problem) => problems.push(problem),
                Err(_) => {}
            }
        }
        let mut queue = queue.into_iter();
        let mut tasks = JoinSet::new();
        loop {
            while tasks.len() < self.deployment.options.parallel.max(1) {
                let Some((index, asked)) = queue.next() else { break };
                tasks.spawn(async move { (index, ask(asked).await) });
            }
            let Some(ended) = tasks.join_next().await else { break };
            // A provider's panic is an answer of its own; here nothing but the engine itself can panic.
            let Ok((index, result)) = ended else { continue };
            let Some(read) = declared.reads.get(index) else { continue };
            match result {
                Ok(values) => {
                    self.scrubber.learn_all(&values);
                    read.set(values);
                }
                Err(error) => {
                    let message = format!("it cannot be read: {}", self.scrubber.scrub(error.message()));
                    problems.push(Diagnostic::invalid(message).on(&read.urn).at(read.at));
                }
            }
        }
        if problems.is_empty() {
            return Ok(());
        }
        // In the order of the program, whichever answer came first.
        problems.sort_by_key(|problem| declared.reads.iter().position(|read| Some(&read.urn) == problem.urn.as_ref()));
        Err(RunError::Diagnostics(Diagnostics(problems)))
    }
}
