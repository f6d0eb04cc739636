//! The tools that are compared: what each is given, and the command of each phase.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::measure::Line;

/// The version of OpenTofu that is built.
pub const TOFU: &str = "1.12.6";

/// How resources hang together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shape {
    /// Not at all.
    Independent,
    /// `count` of one kind, and `count` of another that refer to one each.
    Pairs,
}

/// A size: how many, and of which shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size {
    /// The shape.
    pub shape: Shape,
    /// How many; with pairs, of each half.
    pub count: u32,
}

impl Size {
    /// `1000`, or `pairs1000`.
    pub fn parse(text: &str) -> Option<Self> {
        let (shape, digits) = match text.strip_prefix("pairs") {
            Some(digits) => (Shape::Pairs, digits),
            None => (Shape::Independent, text),
        };
        digits.parse().ok().filter(|count| *count > 0).map(|count| Self { shape, count })
    }

    /// For people.
    pub fn title(self) -> String {
        match self.shape {
            Shape::Independent => format!("{} independent", grouped(self.count)),
            Shape::Pairs => format!("2 × {} with references", grouped(self.count)),
        }
    }

    /// For files.
    pub fn name(self) -> String {
        match self.shape {
            Shape::Independent => self.count.to_string(),
            Shape::Pairs => format!("pairs{}", self.count),
        }
    }
}

/// Digits in groups of three.
pub fn grouped(number: u32) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// What is measured, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Everything is made.
    Create,
    /// A plan, with nothing changed.
    Nothing,
    /// One resource is updated.
    One,
    /// Everything is deleted.
    Destroy,
}

impl Phase {
    /// All of them, in their order.
    pub const ALL: [Phase; 4] = [Phase::Create, Phase::Nothing, Phase::One, Phase::Destroy];

    /// For people.
    pub fn title(self) -> &'static str {
        match self {
            Phase::Create => "create",
            Phase::Nothing => "plan, nothing changed",
            Phase::One => "one change",
            Phase::Destroy => "destroy",
        }
    }
}

/// A tool, and how its state is sealed.
#[derive(Debug, Clone)]
pub struct Tool {
    /// The name in tables.
    pub name: &'static str,
    /// How its state is encrypted, in words.
    pub sealed: &'static str,
    /// What it says its version is.
    pub version: String,
    kind: Kind,
    program: PathBuf,
    passphrase: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    StackKit,
    /// Terraform, and OpenTofu, which takes the same configuration.
    Terraform,
}

/// A passphrase of a length that people choose.
const PASSPHRASE: &str = "violet anchor basalt pickle";

impl Tool {
    /// StackKit with a key file, and with a passphrase.
    pub fn stackkit(program: &Path) -> Vec<Self> {
        let tool = |sealed, passphrase| Self {
            name: "StackKit",
            sealed,
            version: env!("CARGO_PKG_VERSION").into(),
            kind: Kind::StackKit,
            program: program.to_owned(),
            passphrase,
        };
        vec![tool("encrypted, key file", false), tool("encrypted, passphrase", true)]
    }

    /// Terraform, whose local state is plain.
    pub fn terraform(program: &Path) -> Result<Vec<Self>, String> {
        let version = version(program)?;
        let kind = Kind::Terraform;
        Ok(vec![Self { name: "Terraform", sealed: "plain", version, kind, program: program.into(), passphrase: false }])
    }

    /// OpenTofu, plain and with a passphrase.
    pub fn tofu(program: &Path) -> Result<Vec<Self>, String> {
        let version = version(program)?;
        let tool = |sealed, passphrase| Self {
            name: "OpenTofu",
            sealed,
            version: version.clone(),
            kind: Kind::Terraform,
            program: program.to_owned(),
            passphrase,
        };
        Ok(vec![tool("plain", false), tool("encrypted, passphrase", true)])
    }

    /// Whether this is the project's own tool.
    pub fn is_own(&self) -> bool {
        self.kind == Kind::StackKit
    }

    /// Whether its keys come from a passphrase.
    pub fn derives_keys(&self) -> bool {
        self.passphrase
    }

    /// Name and encryption.
    pub fn title(&self) -> String {
        format!("{} ({})", self.name, self.sealed)
    }

    /// Writes what the tool needs into an empty folder.
    ///
    /// # Errors
    /// When the folder cannot be written, or the tool cannot be set up in it.
    pub fn prepare(&self, dir: &Path, size: Size) -> Result<(), String> {
        match self.kind {
            Kind::StackKit => Ok(()),
            Kind::Terraform => {
                std::fs::write(dir.join("main.tf"), configuration(size)).map_err(|error| error.to_string())?;
                let line = self.line(dir, &["init", "-input=false", "-no-color"]);
                let words = &line.words;
                let run = Command::new(&words[0])
                    .args(&words[1..])
                    .envs(&line.env)
                    .current_dir(dir)
                    .output()
                    .map_err(|error| format!("{}: {error}", words.join(" ")))?;
                match run.status.success() {
                    true => Ok(()),
                    false => Err(format!("`init` failed: {}", String::from_utf8_lossy(&run.stderr))),
                }
            }
        }
    }

    /// The command of a phase.
    pub fn command(&self, dir: &Path, size: Size, phase: Phase) -> Line {
        let touched = size.count / 2;
        match self.kind {
            Kind::StackKit => {
                let (count, touched) = (format!("count={}", size.count), format!("touched={touched}"));
                let shape = match size.shape {
                    Shape::Independent => "shape=independent",
                    Shape::Pairs => "shape=pairs",
                };
                let program = ["--config", &count, "--config", shape];
                let mut words: Vec<&str> = match phase {
                    Phase::Create => vec!["up", "--yes"],
                    Phase::Nothing => vec!["preview"],
                    Phase::One => vec!["up", "--yes", "--config", &touched],
                    Phase::Destroy => vec!["destroy", "--yes"],
                };
                if phase != Phase::Destroy {
                    words.extend(program);
                }
                self.line(dir, &words)
            }
            Kind::Terraform => {
                let touched = format!("-var=touched={touched}");
                let mut words: Vec<&str> = match phase {
                    Phase::Create => vec!["apply", "-auto-approve"],
                    Phase::Nothing => vec!["plan"],
                    Phase::One => vec!["apply", "-auto-approve", &touched],
                    Phase::Destroy => vec!["destroy", "-auto-approve"],
                };
                words.extend(["-input=false", "-no-color"]);
                self.line(dir, &words)
            }
        }
    }

    fn line(&self, dir: &Path, words: &[&str]) -> Line {
        let program = self.program.display().to_string();
        let mut line = Line::new(&[&[program.as_str()], words].concat());
        let mut set = |name: &str, value: String| line.env.insert(name.into(), value);
        set("HOME", dir.display().to_string());
        match self.kind {
            Kind::StackKit if self.passphrase => {
                set("STACKKIT_PASSPHRASE", PASSPHRASE.into());
            }
            Kind::StackKit => {
                set("STACKKIT_KEY_FILE", dir.join("key").display().to_string());
            }
            Kind::Terraform => {
                set("CHECKPOINT_DISABLE", "1".into());
                set("TF_IN_AUTOMATION", "1".into());
                if self.passphrase {
                    set("TF_ENCRYPTION", encryption());
                }
            }
        }
        line
    }
}

fn encryption() -> String {
    format!(
        "key_provider \"pbkdf2\" \"own\" {{\n  passphrase = \"{PASSPHRASE}\"\n}}\nmethod \"aes_gcm\" \"own\" {{\n  keys = key_provider.pbkdf2.own\n}}\nstate {{\n  method = method.aes_gcm.own\n}}\nplan {{\n  method = method.aes_gcm.own\n}}\n"
    )
}

/// The configuration that declares what `example-scale` declares: `terraform_data` is built in and calls nothing.
fn configuration(size: Size) -> String {
    let mut text = String::from("variable \"touched\" {\n  type    = number\n  default = -1\n}\n");
    let item = |name: &str, after: &str| {
        format!(
            "\nresource \"terraform_data\" \"{name}\" {{\n  count = {}\n  input = {{\n    number = count.index\n{after}    label  = count.index == var.touched ? \"another label\" : \"a label of the length that labels have\"\n    region = \"eu-central-1\"\n  }}\n}}\n",
            size.count
        )
    };
    match size.shape {
        Shape::Independent => text += &item("item", ""),
        Shape::Pairs => {
            text += &item("a", "");
            // Only one half changes, as in the program on the other side.
            let after = "    after  = terraform_data.a[count.index].id\n";
            text += &item("b", after).replace("count.index == var.touched ? \"another label\" : ", "");
        }
    }
    let _ = write!(text, "\noutput \"count\" {{\n  value = {}\n}}\n", size.count);
    text
}

fn version(program: &Path) -> Result<String, String> {
    let said = Command::new(program)
        .arg("version")
        .env("CHECKPOINT_DISABLE", "1")
        .output()
        .map_err(|error| format!("{}: {error}", program.display()))?;
    let said = String::from_utf8_lossy(&said.stdout);
    // Warnings may stand before it.
    let found = said.lines().find_map(|line| line.split_once(" v").filter(|(name, _)| !name.contains(' ')));
    let (_, version) = found.ok_or_else(|| format!("{} does not say its version", program.display()))?;
    Ok(version.trim().to_owned())
}

/// A program of that name in `PATH`.
pub fn in_path(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|dir| dir.join(name)).find(|path| path.is_file())
}

/// Builds OpenTofu from its Go module into a cache folder, which takes some minutes the first time.
///
/// # Errors
/// When there is no Go, or the module cannot be had or built.
pub fn build_tofu(cache: &Path) -> Result<PathBuf, String> {
    let program = cache.join(format!("tofu-{TOFU}"));
    if program.is_file() {
        return Ok(program);
    }
    let go = in_path("go").or_else(|| Some(PathBuf::from("/usr/local/go/bin/go")).filter(|path| path.is_file()));
    let go = go.ok_or("OpenTofu is built with Go, which is not on this machine")?;
    let module = format!("github.com/opentofu/opentofu@v{TOFU}");
    eprintln!("building {module} with {}; this takes some minutes", go.display());
    let found = Command::new(&go)
        .args(["mod", "download", "-json", &module])
        .output()
        .map_err(|error| format!("go mod download: {error}"))?;
    #[derive(serde::Deserialize)]
    struct Module {
        #[serde(rename = "Dir")]
        dir: PathBuf,
    }
    let module: Module = serde_json::from_slice(&found.stdout)
        .map_err(|_| format!("`go mod download` failed: {}", String::from_utf8_lossy(&found.stdout)))?;
    std::fs::create_dir_all(cache).map_err(|error| error.to_string())?;
    // The module has replacements of its own, with which `go install` does not build from afar; the module's folder is
    // read-only, which a build does not mind.
    let linked = "-s -w -X github.com/opentofu/opentofu/version.dev=no -X main.experimentsAllowed=no";
    let built = Command::new(&go)
        .args(["build", "-trimpath", "-mod=readonly", "-ldflags", linked, "-o"])
        .arg(&program)
        .arg("./cmd/tofu")
        .current_dir(&module.dir)
        .env("CGO_ENABLED", "0")
        .status()
        .map_err(|error| format!("go build: {error}"))?;
    if built.success() { Ok(program) } else { Err("`go build ./cmd/tofu` failed".into()) }
}
