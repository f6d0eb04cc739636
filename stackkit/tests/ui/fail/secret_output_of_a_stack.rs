use stackkit::prelude::*;

fn program(stack: &mut Stack) {
    let network = stack.reference("network");
    stack.add("key", local::File::new("key", network.secret::<String>("key")));
}

fn main() {}
