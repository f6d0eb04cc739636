//! Options of a declared resource: what is said on its handle, beside its inputs.

use std::time::Duration;

use crate::hook::Hooked;
use crate::value::Value;

/// The options of one declaration. Set through the methods of [`crate::Handle`].
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Whether deletion and replacement are refused; the type's default where unset.
    pub protect: Option<bool>,
    /// What the resource was called before: a URN, or a name or path of the same type.
    pub aliases: Vec<String>,
    /// Id of something that exists already and is to be adopted.
    pub import: Option<String>,
    /// Paths of inputs whose changes are ignored.
    pub ignore_changes: Vec<String>,
    /// Paths of inputs whose change forces a replacement, beyond those that the type says.
    pub replace_on_changes: Vec<String>,
    /// A value whose change forces a replacement.
    pub replace_trigger: Option<Value>,
    /// Resources that must be there first, by index in the stack.
    pub depends_on: Vec<u32>,
    /// The same, by name, path or URN.
    pub depends_on_named: Vec<String>,
    /// Components of which everything must be there first, by index in the stack.
    pub depends_on_components: Vec<u32>,
    /// Forget instead of delete.
    pub retain_on_delete: bool,
    /// The resource whose deletion takes this one along, by index in the stack.
    pub deleted_with: Option<u32>,
    /// Delete before replace; the type's default where unset.
    pub delete_before_replace: Option<bool>,
    /// How long a create may take.
    pub create_timeout: Option<Duration>,
    /// How long an update may take.
    pub update_timeout: Option<Duration>,
    /// How long a delete may take.
    pub delete_timeout: Option<Duration>,
    /// Name of the provider instance; the provider's default one where unset.
    pub provider: Option<String>,
    /// What the program runs before and after steps, in this order.
    pub(crate) hooks: Vec<Hooked>,
}

impl Options {
    /// The options of a declaration that says nothing.
    pub const NONE: &'static Options = &Options {
        protect: None,
        aliases: Vec::new(),
        import: None,
        ignore_changes: Vec::new(),
        replace_on_changes: Vec::new(),
        replace_trigger: None,
        depends_on: Vec::new(),
        depends_on_named: Vec::new(),
        depends_on_components: Vec::new(),
        retain_on_delete: false,
        deleted_with: None,
        delete_before_replace: None,
        create_timeout: None,
        update_timeout: None,
        delete_timeout: None,
        provider: None,
        hooks: Vec::new(),
    };
}

/// What a program refuses to do to its own stack, set with [`crate::Stack::guard`]. It is recorded in the state, so that
/// it holds for `destroy` too; the command line and the environment can only make it stricter.
///
/// ```
/// # use stackkit::Guard;
/// let guard = Guard::default().max_deletes(3);
/// assert_eq!(guard.max_deletes, Some(3));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Guard {
    /// Refuses every plan that deletes or replaces anything.
    pub no_destroy: bool,
    /// Refuses a plan that deletes or replaces more resources than this.
    pub max_deletes: Option<usize>,
}

impl Guard {
    /// Refuses every plan that deletes or replaces anything.
    #[must_use]
    pub fn no_destroy(mut self) -> Self {
        self.no_destroy = true;
        self
    }

    /// Refuses a plan that deletes or replaces more resources than this.
    #[must_use]
    pub fn max_deletes(mut self, limit: usize) -> Self {
        self.max_deletes = Some(limit);
        self
    }
}
