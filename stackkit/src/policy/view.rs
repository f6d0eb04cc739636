//! What policies see: a planned resource, typed or by field name, and the plan as a whole. Known and unknown can be told
//! apart, and a secret stays one.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::ops::Deref;

use super::{Objection, Scene};
use crate::event::Summary;
use crate::output::Output;
use crate::plan::{Action, FieldChange, Known, PlanNode, PlannedOutput, record_values};
use crate::property::Property;
use crate::resource::Resource;
use crate::schema::Schema;
use crate::urn::Urn;
use crate::value::{Lookup, Value};

/// The index by which a resource that left the program refers to itself.
const DEPARTED: u32 = u32::MAX;

static NULL: Value = Value::Null;

/// One resource of a plan, of any type. What the program declares is seen as it will be; what goes, as it is recorded.
pub struct ResourceView<'a> {
    scene: Scene<'a>,
    node: &'a PlanNode,
    schema: &'static Schema,
    values: Cow<'a, [Value]>,
    own: u32,
    /// Whether the policy asked for something that is not known.
    asked: Cell<bool>,
}

impl fmt::Debug for ResourceView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ResourceView({})", self.node.urn)
    }
}

impl<'a> ResourceView<'a> {
    /// What the program declares, with these values instead of the planned ones where they are given.
    pub(super) fn declared(scene: Scene<'a>, node: &'a PlanNode, values: Option<Vec<Value>>) -> Option<Self> {
        let own = node.declared?;
        let schema = scene.declared.resources.get(own as usize)?.schema;
        let values = match values {
            Some(values) => Cow::Owned(values),
            None => Cow::Borrowed(scene.values.get(own as usize)?.as_slice()),
        };
        // A declaration that could not be resolved has no values; its errors are reported without us.
        (!values.is_empty() || schema.fields.is_empty()).then_some(Self {
            scene,
            node,
            schema,
            values,
            own,
            asked: Cell::new(false),
        })
    }

    /// What goes: the recorded instance.
    pub(super) fn departed(scene: Scene<'a>, node: &'a PlanNode) -> Option<Self> {
        let record = scene.state.resources.get(&node.prior?)?;
        let schema = scene.catalog.get(record.urn.type_name())?.schema;
        let values = Cow::Owned(record_values(schema, record));
        Some(Self { scene, node, schema, values, own: DEPARTED, asked: Cell::new(false) })
    }

    pub(super) fn asked_unknown(&self) -> bool {
        self.asked.get()
    }

    /// Its URN.
    pub fn urn(&self) -> &'a Urn {
        &self.node.urn
    }

    /// Its name in the program.
    pub fn name(&self) -> &'a str {
        self.node.urn.name()
    }

    /// Name of its type, such as `aws:s3:Bucket`.
    pub fn type_name(&self) -> &'static str {
        self.schema.type_name
    }

    /// Its type, described.
    pub fn schema(&self) -> &'static Schema {
        self.schema
    }

    /// What is to be done to it.
    pub fn action(&self) -> &'a Action {
        &self.node.action
    }

    /// Whether that is certain, or the most that may happen.
    pub fn is_certain(&self) -> bool {
        self.node.certain
    }

    /// Whether the instance that is there goes: it is deleted or replaced.
    pub fn is_deleted(&self) -> bool {
        matches!(self.node.action, Action::Delete | Action::Replace { .. })
    }

    /// Which of its inputs change.
    pub fn changes(&self) -> &'a [FieldChange] {
        &self.node.changes
    }

    /// Whether its type has a field of that name.
    pub fn has(&self, field: &str) -> bool {
        self.schema.index(field).is_some()
    }

    /// A field by name; null where it is unset or its type has none. A secret in it is a [`Value::Secret`].
    ///
    /// # Errors
    /// When it is not known yet. Passed on with `?`, it lets the policy judge again when it is.
    pub fn get(&self, field: &str) -> Result<&Value, Objection> {
        let value = self.schema.index(field).and_then(|index| self.values.get(index)).unwrap_or(&NULL);
        if value.is_known() {
            Ok(value)
        } else {
            self.asked.set(true);
            Err(Objection::pending())
        }
    }

    /// A field by name, if it is known.
    pub fn known(&self, field: &str) -> Option<&Value> {
        self.get(field).ok()
    }

    /// The same resource, typed, if it is of that type.
    pub fn of<R: Resource>(&self) -> Option<PolicyView<'_, R>> {
        (self.schema.type_name == R::SCHEMA.type_name).then(|| PolicyView::new(self))
    }

    /// A violation that names this resource.
    pub fn object(&self, message: impl Into<String>) -> Objection {
        Objection::new(message).on(self.urn())
    }

    fn output<T: Property>(&self, output: &Output<T>) -> Result<T, Objection> {
        let value = output.tree().resolve(self).map_err(|error| Objection::new(error.to_string()))?;
        let pending = || {
            self.asked.set(true);
            Err(Objection::pending())
        };
        if !value.is_known() {
            return pending();
        }
        match T::from_value(&value) {
            Ok(value) => Ok(value),
            // The cloud has not said it yet.
            Err(_) if value.is_null() => pending(),
            Err(error) => Err(Objection::new(format!("what it asks for cannot be read: {error}"))),
        }
    }
}

impl Lookup for ResourceView<'_> {
    fn attr(&self, resource: u32, field: u16) -> Value {
        if resource == self.own {
            return self.values.get(usize::from(field)).cloned().unwrap_or_default();
        }
        Known { values: self.scene.values, declared: self.scene.declared }.attr(resource, field)
    }
}

/// One resource of a plan, typed. It dereferences to its fields, each an [`Output`], which [`PolicyView::get`] reads:
///
/// ```
/// use stackkit::local;
/// use stackkit::policy::{PolicyView, Verdict, ensure};
///
/// fn short_lived(certificate: &PolicyView<'_, local::SelfSignedCert>) -> Verdict {
///     ensure(certificate.get(&certificate.valid_days)? <= 397, "certificates are valid for 397 days at most")
/// }
/// ```
pub struct PolicyView<'a, R: Resource> {
    view: &'a ResourceView<'a>,
    fields: R::Outputs,
}

impl<R: Resource> fmt::Debug for PolicyView<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PolicyView({})", self.view.node.urn)
    }
}

impl<R: Resource> Deref for PolicyView<'_, R> {
    type Target = R::Outputs;
    fn deref(&self) -> &R::Outputs {
        &self.fields
    }
}

impl<'a, R: Resource> PolicyView<'a, R> {
    pub(super) fn new(view: &'a ResourceView<'a>) -> Self {
        Self { view, fields: R::outputs(view.own) }
    }

    /// The value of one of its fields, of a field of another resource, or of what is computed from them. A secret comes
    /// as `Secret<_>`.
    ///
    /// # Errors
    /// When it is not known yet. Passed on with `?`, it lets the policy judge again when it is.
    pub fn get<T: Property>(&self, field: &Output<T>) -> Result<T, Objection> {
        self.view.output(field)
    }

    /// The same, if it is known.
    pub fn known<T: Property>(&self, field: &Output<T>) -> Option<T> {
        self.get(field).ok()
    }

    /// What is known of it beside its fields: URN, action, changes.
    pub fn resource(&self) -> &'a ResourceView<'a> {
        self.view
    }
}

/// A plan as a whole.
pub struct PlanView<'a> {
    scene: Scene<'a>,
    outputs: &'a [PlannedOutput],
    views: Vec<ResourceView<'a>>,
}

impl fmt::Debug for PlanView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PlanView({} resources)", self.views.len())
    }
}

impl<'a> PlanView<'a> {
    pub(super) fn new(scene: Scene<'a>, outputs: &'a [PlannedOutput]) -> Self {
        let view = |node: &'a PlanNode| {
            ResourceView::declared(scene, node, None).or_else(|| ResourceView::departed(scene, node))
        };
        Self { scene, outputs, views: scene.nodes.iter().filter_map(view).collect() }
    }

    /// Every resource: declared ones in their order, then what left the program.
    pub fn resources(&self) -> impl Iterator<Item = &ResourceView<'a>> {
        self.views.iter()
    }

    /// The declared resources of one type.
    pub fn of<R: Resource>(&self) -> impl Iterator<Item = PolicyView<'_, R>> {
        self.views.iter().filter(|view| view.own != DEPARTED).filter_map(ResourceView::of::<R>)
    }

    /// The stack's outputs as planned.
    pub fn outputs(&self) -> &'a [PlannedOutput] {
        self.outputs
    }

    /// How many resources it creates, updates and so on.
    pub fn summary(&self) -> Summary {
        let mut summary = Summary::default();
        self.scene.nodes.iter().for_each(|node| summary.count(&node.action));
        summary
    }
}
