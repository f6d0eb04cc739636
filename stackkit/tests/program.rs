//! `#[main]` and `#[program]`, over stand-ins for the parts of the crate that they name.

mod standin {
    pub use stackkit::__private;

    #[derive(Default)]
    pub struct Stack(pub Vec<&'static str>);
    pub type Result<T> = std::result::Result<T, String>;
    pub type Run = for<'a> fn(&'a mut Stack) -> __private::BoxFuture<'a, Result<()>>;
    pub struct Program(pub &'static str, pub Run, pub &'static [__private::Linked]);
    impl Program {
        pub const fn new(name: &'static str, run: Run, providers: &'static [__private::Linked]) -> Self {
            Self(name, run, providers)
        }
    }
    pub mod cli {
        pub fn main(_: super::Program) -> std::process::ExitCode {
            std::process::ExitCode::SUCCESS
        }
    }
}

use stackkit::Error;
use stackkit::provider::{NoSettings, Provider};
use standin::{Result, Stack};

struct Acme;

impl Provider for Acme {
    const NAME: &'static str = "acme";
    const TYPES: &'static [&'static dyn stackkit::Ops<Self>] = stackkit::types![];
    type Settings = NoSettings;
    type Error = Error;
    async fn connect(_: NoSettings) -> std::result::Result<Self, Error> {
        Ok(Acme)
    }
}

mod binary {
    use super::{Acme, Result, Stack};

    /// Orders.
    #[stackkit::main(providers(Acme), crate = "crate::standin")]
    pub async fn orders(stack: &mut Stack) -> Result<()> {
        let orders = "orders";
        stack.0.push(orders);
        Err("failed".to_owned())?;
        Ok(())
    }

    #[test]
    fn the_entry_runs_the_program() {
        assert_eq!(format!("{:?}", main()), format!("{:?}", std::process::ExitCode::SUCCESS));
    }
}

#[stackkit::program(name = "shop", crate = "crate::standin")]
async fn shop(_: &mut Stack) -> Result<()> {
    Ok(())
}

#[stackkit::test]
async fn a_program_takes_the_place_of_its_function() {
    let mut stack = Stack::default();
    // What people call their resources does not meet the program's name.
    let shop = shop;
    assert_eq!((binary::orders().1)(&mut stack).await, Err("failed".to_owned()));
    assert_eq!(stack.0, ["orders"]);
    assert_eq!(binary::orders().0, "stackkit");
    assert_eq!(binary::orders().2[0].name, "acme");
    assert_eq!((shop().1)(&mut stack).await, Ok(()));
    assert_eq!((shop().0, shop().2.len()), ("shop", 0));
}
