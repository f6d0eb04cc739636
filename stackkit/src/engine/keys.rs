//! Who can open a stack: listing, adding and removing keys, changing all of them, and changing the data key.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::audit::{Counts, Outcome};
use crate::config::file::ConfigFile;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::engine::session::{Missing, Session, Source};
use crate::engine::{Deployment, RunError};
use crate::seal::{self, DataKey, Header, KeyOptions, NamedKey, Ring, SealError, Sealer, WrappedKey, config_path};
use crate::state::lease;

/// What became of a change of the keys.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Changed {
    /// The keys that were added, or wrapped anew.
    pub added: Vec<WrappedKey>,
    /// The keys that were taken out.
    pub removed: Vec<WrappedKey>,
    /// Why the old keys are still there: no new one could be shown to open the stack from here.
    pub unproved: Option<String>,
    /// The key file, if one was made.
    pub made: Option<PathBuf>,
}

/// What became of a change of the data key.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Rotated {
    /// The id of the new data key.
    pub data_key: String,
    /// The keys that open it.
    pub keys: Vec<WrappedKey>,
    /// The keys that were left out.
    pub removed: Vec<WrappedKey>,
    /// Whether this went on with a change that had stopped half-way.
    pub resumed: bool,
}

impl Changed {
    /// What the audit log is told of it.
    fn told(&self) -> Vec<String> {
        let added = self.added.iter().map(|key| format!("+ {} {}", key.kind, key.id));
        added.chain(self.removed.iter().map(|key| format!("- {} {}", key.kind, key.id))).collect()
    }
}

/// Kinds of the keys that texts name. The rest of a text may be a private key, by a slip.
fn kinds(texts: &[String]) -> impl Iterator<Item = String> {
    texts.iter().map(|text| text.split(':').next().unwrap_or_default().to_owned())
}

/// The files and keys that all of it works on.
struct Files<'a> {
    dir: &'a Path,
    path: PathBuf,
    keys: &'a KeyOptions,
    header: Header,
}

impl Files<'_> {
    fn refuse_while_changing(&self) -> Result<(), RunError> {
        match self.header.next {
            None => Ok(()),
            Some(_) => Err(RunError::one(
                Diagnostic::refused("a change of the data key has stopped half-way")
                    .help("run `secrets rotate`, which goes on with it"),
            )),
        }
    }

    /// Writes the header, signed by its data key, unless somebody else has changed it since it was read.
    fn write(&mut self, header: Header, key: &DataKey) -> Result<(), RunError> {
        let header = header.with_mac(key);
        if !header.write_instead_of(&self.header, &self.path)? {
            return Err(RunError::one(
                Diagnostic::refused(format!("{} has changed meanwhile", self.path.display())).help("run it again"),
            ));
        }
        self.header = header;
        Ok(())
    }
}

impl Deployment {
    /// The keys that open the stack. None of them is needed to see the list.
    ///
    /// # Errors
    /// When there is no such stack, or its header cannot be read.
    pub fn keys(&self) -> Result<Vec<WrappedKey>, RunError> {
        Ok(self.files()?.header.keys)
    }

    /// Lets more keys open the stack: those that a text such as `age:RECIPIENT` names. One that does already is wrapped
    /// anew.
    ///
    /// # Errors
    /// When the text names none, when no key at hand opens the stack, or when a new one cannot be reached.
    pub async fn add_keys(&self, text: &str, label: Option<&str>) -> Result<Changed, RunError> {
        let of = kinds(&[text.to_owned()]).chain(label.map(str::to_owned)).collect();
        self.audited("secrets add", of, self.let_in(text, label), Changed::told).await
    }

    async fn let_in(&self, text: &str, label: Option<&str>) -> Result<Changed, RunError> {
        let mut files = self.files()?;
        files.refuse_while_changing()?;
        let key = files.header.open(files.keys).await?;
        let named: Vec<NamedKey> = (files.keys.named(text, Path::new("."))?.into_iter())
            .map(|key| key.label(label.map(str::to_owned)))
            .collect();
        let (added, made) = wrap_all(&key, &files.header.lineage, &named).await?;
        let mut header = files.header.clone();
        merge(&mut header.keys, &added);
        files.write(header, &key)?;
        Ok(Changed { added, made, ..Changed::default() })
    }

    /// Takes a key out of those that open the stack. Its holder still knows the data key, if they have used it:
    /// [`Deployment::rotate_keys`] makes a new one.
    ///
    /// # Errors
    /// When there is no such key, or when what is left would not open the stack from here.
    pub async fn remove_key(&self, name: &str) -> Result<Changed, RunError> {
        self.audited("secrets remove", vec![name.to_owned()], self.shut_out(name), Changed::told).await
    }

    async fn shut_out(&self, name: &str) -> Result<Changed, RunError> {
        let mut files = self.files()?;
        files.refuse_while_changing()?;
        let at = find(&files.header.keys, name).map_err(RunError::one)?;
        let key = files.header.open(files.keys).await?;
        let mut header = files.header.clone();
        let removed = header.keys.remove(at);
        still_opens(&header.ring(), &header.lineage, files.keys, &removed).await?;
        files.write(header, &key)?;
        Ok(Changed { removed: vec![removed], ..Changed::default() })
    }

    /// Lets other keys open the stack instead of the present ones. Both do until one of the new has been seen to open
    /// it; where none can from here, the old ones stay, and the same call where one can takes them out.
    ///
    /// # Errors
    /// As [`Deployment::add_keys`].
    pub async fn change_keys(&self, texts: &[String]) -> Result<Changed, RunError> {
        let of = kinds(texts).collect();
        self.audited("secrets change-provider", of, self.let_only_in(texts), Changed::told).await
    }

    async fn let_only_in(&self, texts: &[String]) -> Result<Changed, RunError> {
        let mut files = self.files()?;
        files.refuse_while_changing()?;
        let key = files.header.open(files.keys).await?;
        let mut named = Vec::new();
        for text in texts {
            named.extend(files.keys.named(text, Path::new("."))?);
        }
        let (added, made) = wrap_all(&key, &files.header.lineage, &named).await?;
        let old: Vec<WrappedKey> = files.header.keys.clone();
        let mut both = files.header.clone();
        merge(&mut both.keys, &added);
        files.write(both, &key)?;
        // What was written is what has to open, not what was meant to be.
        let written = Header::read(&files.path)?.ok_or_else(|| self.no_stack(files.dir))?;
        let is_new = |key: &WrappedKey| added.iter().any(|new| same(new, key));
        let only = Header { keys: written.keys.iter().filter(|key| is_new(key)).cloned().collect(), ..written };
        // A new passphrase is what opens from now on.
        let mut keys = files.keys.clone();
        if keys.new_passphrase.is_some() {
            keys.passphrase.clone_from(&keys.new_passphrase);
        }
        if let Err(error) = seal::open(&only.ring(), &only.lineage, &keys).await {
            return Ok(Changed { added, made, unproved: Some(error.to_string()), ..Changed::default() });
        }
        files.write(only, &key)?;
        let removed = old.into_iter().filter(|key| !is_new(key)).collect();
        Ok(Changed { added, removed, made, unproved: None })
    }

    /// Makes a new data key, wraps it for every key that opens the stack but those named, and seals state and
    /// configuration anew under it. The header lists both data keys while the state is written, so wherever it stops,
    /// the stack opens, and the next call goes on.
    ///
    /// # Errors
    /// When a key can only be wrapped for by its holder, who is then named; when the state is locked or has a rescue file.
    pub async fn rotate_keys(&self, without: &[String]) -> Result<Rotated, RunError> {
        let mut session = self.source.open(self.stack_name(), Missing::Refuse).await?;
        session.lock("secrets rotate").await?;
        self.tell_begin(&mut session, "secrets rotate", without.to_vec(), BTreeMap::new());
        session.store.commit_told().await?;
        let result = self.rotate(&mut session, without).await;
        self.tell_how_it_ended(&mut session, &result.as_ref().map(|_| ())).await;
        if result.is_ok() && session.store.needs_fold() {
            session.store.fold().await?;
        }
        result
    }

    async fn rotate(&self, session: &mut Session, without: &[String]) -> Result<Rotated, RunError> {
        session.refuse_with_rescue("it opens with the present key alone")?;
        let mut resumed = false;
        loop {
            let mut files = self.files()?;
            let old = files.header.open(files.keys).await?;
            let finished = match self.pending(&files, session).await? {
                Some(new) => {
                    let keys = files.header.next.clone().map(|next| next.keys).unwrap_or_default();
                    resumed = true;
                    let finished = self.finish(&mut files, session, &old, &new).await?;
                    // What this call was to leave out may be in what the earlier one began with.
                    let left: Vec<_> = without.iter().filter(|name| find(&keys, name).is_ok()).cloned().collect();
                    if !left.is_empty() {
                        continue;
                    }
                    finished
                }
                None => {
                    let (new, removed) = begin(&mut files, &old, without).await?;
                    Rotated { removed, ..self.finish(&mut files, session, &old, &new).await? }
                }
            };
            return Ok(Rotated { resumed, ..finished });
        }
    }

    /// Seals the state as a whole, so that nothing of its records is readable without a key, or its secrets alone: it is
    /// written anew, as one snapshot. The header says so before that, and says otherwise after it: so wherever it stops,
    /// the stack opens, and the next run that takes the lock makes a whole of it. Says whether it was otherwise before.
    ///
    /// # Errors
    /// When no key at hand opens the stack, when the state is locked or has a rescue file, or cannot be written.
    pub async fn seal_whole(&self, whole: bool) -> Result<bool, RunError> {
        let result = self.switch_to(whole).await;
        lease::settled().await;
        result
    }

    async fn switch_to(&self, whole: bool) -> Result<bool, RunError> {
        let mut session = self.source.open(self.stack_name(), Missing::Refuse).await?;
        // A rescue file speaks of records by their codes, which all change.
        session.refuse_with_rescue("the change would leave that file behind")?;
        session.lock("secrets whole").await?;
        let mut files = self.files()?;
        files.refuse_while_changing()?;
        let (said, is) = (files.header.whole, session.store.sealer().is_whole());
        if (said, is) == (whole, whole) {
            return Ok(false);
        }
        let key = files.header.open(files.keys).await?;
        let form = if whole { "on" } else { "off" };
        self.tell_begin(&mut session, "secrets whole", vec![form.to_owned()], BTreeMap::new());
        session.store.commit_told().await?;
        let header = Header { whole, ..files.header.clone() };
        let sealer = Arc::new(header.sealer(&key));
        if whole {
            files.write(header, &key)?;
            session.store.rekey(sealer).await?;
        } else {
            session.store.rekey(sealer).await?;
            files.write(header, &key)?;
        }
        self.tell_end(&mut session, Outcome::Done, Counts::default()).await;
        session.store.fold().await?;
        Ok(true)
    }

    /// The new data key of a change that has stopped half-way. One that no key at hand opens, and that nothing is sealed
    /// with yet, is given up.
    async fn pending(&self, files: &Files<'_>, session: &Session) -> Result<Option<DataKey>, RunError> {
        let Some(next) = &files.header.next else { return Ok(None) };
        match seal::open(next, &files.header.lineage, files.keys).await {
            Ok(key) => Ok(Some(key)),
            Err(error) if session.store.sealer().key_id() == next.data_key => Err(error.into()),
            Err(_) => Ok(None),
        }
    }

    /// The second and third step: the state, then the file, each as a whole.
    async fn finish(
        &self,
        files: &mut Files<'_>,
        session: &mut Session,
        old: &DataKey,
        new: &DataKey,
    ) -> Result<Rotated, RunError> {
        let lineage = files.header.lineage.clone();
        if session.store.sealer().key_id() != new.id() {
            let whole = session.store.sealer().is_whole();
            session.store.rekey(Arc::new(Sealer::new(new, &lineage).whole(whole))).await?;
        }
        let config = |error: crate::config::file::ConfigError| RunError::Config(error.to_string());
        let (mut file, text) = ConfigFile::read(files.dir, self.stack_name())
            .and_then(|file| file.resealed(&Sealer::new(old, &lineage), &Sealer::new(new, &lineage)))
            .map_err(config)?;
        let keys = files.header.next.take().map(|next| next.keys).unwrap_or_default();
        let (whole, mac) = (session.store.sealer().is_whole(), String::new());
        let header = Header { lineage, data_key: new.id(), keys: keys.clone(), whole, next: None, mac }.with_mac(new);
        header.write_over(&mut file, &text)?;
        Ok(Rotated { data_key: header.data_key, keys, removed: Vec::new(), resumed: false })
    }

    fn files(&self) -> Result<Files<'_>, RunError> {
        let Source::Files { dir, keys, .. } = &self.source else {
            return Err(RunError::one(Diagnostic::invalid("this stack has no file with keys")));
        };
        let path = config_path(dir, self.stack_name());
        let header = Header::read(&path)?.ok_or_else(|| self.no_stack(dir))?;
        Ok(Files { dir, path, keys, header })
    }

    fn no_stack(&self, dir: &Path) -> RunError {
        RunError::NoStack { stack: self.stack_name().to_owned(), dir: dir.display().to_string() }
    }
}

/// The first step: the header lists the new data key beside the old one.
async fn begin(
    files: &mut Files<'_>,
    old: &DataKey,
    without: &[String],
) -> Result<(DataKey, Vec<WrappedKey>), RunError> {
    let lineage = files.header.lineage.clone();
    let new = DataKey::generate()?;
    let mut problems = Vec::new();
    let mut out = BTreeSet::new();
    for name in without {
        match find(&files.header.keys, name) {
            Ok(at) => drop(out.insert(at)),
            Err(problem) => problems.push(problem),
        }
    }
    let (mut keys, mut removed) = (Vec::new(), Vec::new());
    for (at, key) in files.header.keys.iter().enumerate() {
        if out.contains(&at) {
            removed.push(key.clone());
            continue;
        }
        match seal::rewrap(key, &new, &lineage, files.keys).await {
            Ok(key) => keys.push(key),
            Err(error) => problems.push(cannot_rewrap(key, &error)),
        }
    }
    if !problems.is_empty() {
        return Err(Diagnostics(problems).into());
    }
    let next = Ring { data_key: new.id(), keys };
    match removed.first() {
        Some(key) => still_opens(&next, &lineage, files.keys, key).await?,
        None => drop(seal::open(&next, &lineage, files.keys).await?),
    }
    let header = Header { next: Some(next), ..files.header.clone() };
    files.write(header, old)?;
    Ok((new, removed))
}

fn cannot_rewrap(key: &WrappedKey, error: &SealError) -> Diagnostic {
    Diagnostic::refused(format!("the new key cannot be wrapped for {} from here: {error}", key.describe())).help(
        format!(
            "let its holder run `secrets rotate`, or leave it out with `--without {}` and add it again later",
            key.label().unwrap_or(&key.id)
        ),
    )
}

async fn wrap_all(
    key: &DataKey,
    lineage: &str,
    named: &[NamedKey],
) -> Result<(Vec<WrappedKey>, Option<PathBuf>), RunError> {
    let mut wrapped = Vec::with_capacity(named.len());
    for named in named {
        wrapped.push(seal::wrap(key, lineage, named).await?);
    }
    Ok((wrapped, named.iter().find_map(|named| named.made.clone())))
}

/// Nobody shuts themselves out by a slip.
async fn still_opens(ring: &Ring, lineage: &str, keys: &KeyOptions, without: &WrappedKey) -> Result<(), RunError> {
    if ring.keys.is_empty() {
        return Err(RunError::one(
            Diagnostic::refused(format!("{} is the only key that opens the stack", without.describe()))
                .help("add another with `secrets add` first"),
        ));
    }
    match seal::open(ring, lineage, keys).await {
        Ok(_) => Ok(()),
        Err(error) => Err(RunError::one(
            Diagnostic::refused(format!(
                "without {} the stack would not open here any more: {error}",
                without.describe()
            ))
            .help("let the holder of another key do it"),
        )),
    }
}

fn same(a: &WrappedKey, b: &WrappedKey) -> bool {
    (&a.kind, &a.id) == (&b.kind, &b.id)
}

/// Adds keys; one that is there already takes the place of its older self, and keeps its label if it has no new one.
fn merge(keys: &mut Vec<WrappedKey>, added: &[WrappedKey]) {
    for new in added {
        match keys.iter_mut().find(|key| same(key, new)) {
            Some(key) => {
                let label = key.settings.remove("label");
                *key = new.clone();
                if let (None, Some(label)) = (new.label(), label) {
                    key.settings.insert("label".to_owned(), label);
                }
            }
            None => keys.push(new.clone()),
        }
    }
}

/// The key that was meant: by its id, its label, or the beginning of its id.
fn find(keys: &[WrappedKey], name: &str) -> Result<usize, Diagnostic> {
    let all = |fits: &dyn Fn(&WrappedKey) -> bool| -> Vec<usize> {
        keys.iter().enumerate().filter(|(_, key)| fits(key)).map(|(at, _)| at).collect()
    };
    let exact = all(&|key| key.id == name || key.label() == Some(name));
    let found = if exact.is_empty() && name.len() >= 4 { all(&|key| key.id.starts_with(name)) } else { exact };
    match found.as_slice() {
        [at] => Ok(*at),
        [] => Err(Diagnostic::invalid(format!("no key of the stack is called `{}`", crate::ui::clean(name)))
            .help("`secrets list` shows them")),
        _ => Err(Diagnostic::invalid(format!("several keys of the stack are called `{}`", crate::ui::clean(name)))
            .help("name one by its id, as `secrets list` shows it")),
    }
}
