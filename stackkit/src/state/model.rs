//! The working types of the state: records as the engine uses them. What is persisted are the types of `format`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use crate::options::Guard;
use crate::urn::Urn;
use crate::value::Value;

/// One real thing that a provider made. A replaced resource has two for a while. Sixteen hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instance(pub u64);

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Instance {
    /// The sixteen digits.
    pub(crate) fn digits(self) -> [u8; 16] {
        std::array::from_fn(|index| b"0123456789abcdef"[(self.0 >> (60 - 4 * index)) as usize & 15])
    }

    /// Reads the sixteen digits back.
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() == 16).then(|| u64::from_str_radix(text, 16).ok()).flatten().map(Self)
    }
}

/// The key of a record. Its order is the order of records in a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// The one record about the stack itself.
    Stack,
    /// A provider instance, by its name.
    Provider(String),
    /// A resource instance.
    Resource(Instance),
    /// A call whose end is not recorded.
    Intent(Instance),
    /// An output of the stack, by its name.
    Output(String),
    /// The key of the audit log's lines of before a change of the data key, by the id of that data key.
    Audit(String),
}

/// A record.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// See [`StackRecord`].
    Stack(StackRecord),
    /// See [`ProviderRecord`].
    Provider(ProviderRecord),
    /// See [`ResourceRecord`].
    Resource(Box<ResourceRecord>),
    /// See [`IntentRecord`].
    Intent(Box<IntentRecord>),
    /// See [`OutputRecord`].
    Output(OutputRecord),
    /// See [`AuditRecord`].
    Audit(AuditRecord),
}

impl Record {
    /// The key under which it is kept.
    pub fn key(&self) -> Key {
        match self {
            Record::Stack(_) => Key::Stack,
            Record::Provider(provider) => Key::Provider(provider.name.clone()),
            Record::Resource(resource) => Key::Resource(resource.instance),
            Record::Intent(intent) => Key::Intent(intent.instance),
            Record::Output(output) => Key::Output(output.name.clone()),
            Record::Audit(audit) => Key::Audit(audit.data_key.clone()),
        }
    }
}

/// About the stack itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackRecord {
    /// The program that the stack belongs to: another program must not plan its deletion by mistake.
    pub program: String,
    /// What the program refuses, for commands that do not run it.
    pub guard: Guard,
}

/// A provider instance that resources were made with.
#[derive(Debug, Clone, PartialEq)]
pub struct ProviderRecord {
    /// Name of the instance: the provider's own name for the default one, else `aws/frankfurt`.
    pub name: String,
    /// The provider's name, such as `aws`.
    pub provider: String,
    /// Resolved settings; secrets in them are sealed when persisted.
    pub settings: Value,
    /// Who and where it was: compared before anything is read.
    pub identity: Option<String>,
}

/// How far a resource instance has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Made and whole.
    Live,
    /// It has an id, but its create was cut short: the next `up` finishes or replaces it.
    Incomplete,
    /// Replaced or gone from the program, and still to be deleted.
    PendingDelete,
    /// Deleted for a replacement whose create is still to come. It has no id any more.
    PendingReplacement,
}

/// One resource instance.
#[derive(Debug, Clone, PartialEq)]
pub struct ResourceRecord {
    /// Which instance this is.
    pub instance: Instance,
    /// Which resource of the program it is or was.
    pub urn: Urn,
    /// The provider's id.
    pub id: String,
    /// Name of the provider instance.
    pub provider: String,
    /// How far it has come.
    pub status: Status,
    /// Version of the schema of the fields.
    pub schema_version: u32,
    /// The inputs of the last operation that succeeded, by field name; unset ones are left out.
    pub inputs: BTreeMap<String, Value>,
    /// The outputs, by field name.
    pub outputs: BTreeMap<String, Value>,
    /// Inputs that the provider reported otherwise than they were given: normalised, computed or drifted.
    pub seen: BTreeMap<String, Value>,
    /// Inputs of which a refresh found that somebody else changed them.
    pub drifted: BTreeSet<String>,
    /// The instances that this one refers to.
    pub dependencies: BTreeSet<Instance>,
    /// Options that govern later operations, as recorded.
    pub options: RecordedOptions,
}

/// The options of a resource that matter after its declaration is gone.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RecordedOptions {
    /// Deleting or replacing it is refused.
    pub protect: bool,
    /// It is forgotten, never deleted.
    pub retain_on_delete: bool,
    /// No delete call is needed when this instance's resource is deleted too.
    pub deleted_with: Option<Urn>,
    /// The old instance is deleted before its replacement is made.
    pub delete_before_replace: bool,
    /// How long a delete may take; the default where unset.
    pub delete_timeout: Option<Duration>,
    /// The value whose change forces a replacement, as it was at the last operation.
    pub replace_trigger: Option<Value>,
    /// Hooks of the program that are still to run on it.
    pub hook_due: Option<HookDue>,
}

/// Hooks that a program runs after something was done, and that have not come to their end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookDue {
    /// Those after its creation.
    Create,
    /// Those after an update.
    Update,
}

/// Which call an intent is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntentKind {
    /// A create.
    Create,
    /// An update in place.
    Update,
    /// A delete.
    Delete,
}

/// A provider call that was about to be made: durable before the call, gone when its result is durable.
#[derive(Debug, Clone, PartialEq)]
pub struct IntentRecord {
    /// The instance that the call is about.
    pub instance: Instance,
    /// Its resource.
    pub urn: Urn,
    /// Name of the provider instance.
    pub provider: String,
    /// Which call.
    pub kind: IntentKind,
    /// The attempt's token.
    pub token: String,
    /// The resolved inputs of a create or update.
    pub inputs: BTreeMap<String, Value>,
    /// Version of the schema of the inputs.
    pub schema_version: u32,
    /// The id, once [`crate::Context::created`] made it durable.
    pub id: Option<String>,
    /// Whether a look before the call found the physical name free; `None` where nobody looked.
    pub name_was_free: Option<bool>,
    /// When the intent was written, in seconds since 1970, by the clock of the machine that wrote it. Nothing is decided
    /// by it.
    pub at: u64,
    /// The instances that a new instance refers to.
    pub dependencies: BTreeSet<Instance>,
    /// Options of a new instance.
    pub options: RecordedOptions,
    /// The instance that a create replaces, if any.
    pub replaces: Option<Instance>,
}

/// A named output of the stack.
#[derive(Debug, Clone, PartialEq)]
pub struct OutputRecord {
    /// Its name.
    pub name: String,
    /// Its value; a secret one is sealed when persisted.
    pub value: Value,
}

/// What lines of the audit log were bound with before the data key was changed. Without it nobody could verify them.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditRecord {
    /// The id of the data key of then.
    pub data_key: String,
    /// How many lines there were when it was changed.
    pub lines: u64,
    /// The key, as text; always secret.
    pub key: Value,
}

/// A change of the set of records. A batch of them is durable as a whole or not at all.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Adds or replaces the record of that key.
    Put(Record),
    /// Removes the record; no error if there is none.
    Remove(Key),
}

/// All records of a stack, in memory.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State {
    /// The stack's own record; none before the first write.
    pub stack: Option<StackRecord>,
    /// Provider instances by name.
    pub providers: BTreeMap<String, ProviderRecord>,
    /// Resource instances.
    pub resources: BTreeMap<Instance, ResourceRecord>,
    /// Calls whose end is not recorded.
    pub intents: BTreeMap<Instance, IntentRecord>,
    /// Outputs by name.
    pub outputs: BTreeMap<String, Value>,
    /// Keys of the audit log of before changes of the data key, by the ids of those.
    pub audit: BTreeMap<String, AuditRecord>,
}

impl State {
    /// Applies a change.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Put(Record::Stack(stack)) => self.stack = Some(stack),
            Change::Put(Record::Provider(provider)) => {
                self.providers.insert(provider.name.clone(), provider);
            }
            Change::Put(Record::Resource(resource)) => {
                self.resources.insert(resource.instance, *resource);
            }
            Change::Put(Record::Intent(intent)) => {
                self.intents.insert(intent.instance, *intent);
            }
            Change::Put(Record::Output(output)) => {
                self.outputs.insert(output.name, output.value);
            }
            Change::Put(Record::Audit(audit)) => {
                self.audit.insert(audit.data_key.clone(), audit);
            }
            Change::Remove(Key::Stack) => self.stack = None,
            Change::Remove(Key::Provider(name)) => {
                self.providers.remove(&name);
            }
            Change::Remove(Key::Resource(instance)) => {
                self.resources.remove(&instance);
            }
            Change::Remove(Key::Intent(instance)) => {
                self.intents.remove(&instance);
            }
            Change::Remove(Key::Output(name)) => {
                self.outputs.remove(&name);
            }
            Change::Remove(Key::Audit(id)) => {
                self.audit.remove(&id);
            }
        }
    }
}
