//! What makes the database let somebody do what a role does with one stack: a role, its rights on the tables, and row
//! security that shows it the rows of that stack alone.

use sha2::{Digest as _, Sha256};
use stackkit::access::{Grant, Role};

/// The longest name that PostgreSQL keeps whole.
const NAME: usize = 63;

/// The tables with rows of stacks, and the column that says whose a row is.
const TABLES: [(&str, &str); 5] =
    [("stack", "name"), ("entry", "stack"), ("snapshot", "stack"), ("chunk", "stack"), ("audit", "stack")];

/// The statements that give a role with a stack. They may be run again.
pub(crate) fn grant(schema: &str, place: &str, stack: &str, role: Role) -> Grant {
    let name = role_name(schema, stack, role);
    let quoted = quoted(&name);
    let owned = format!("'{}'", stack.replace('\'', "''"));
    let mut sql = format!(
        "BEGIN;\nDO $$ BEGIN CREATE ROLE {quoted} NOLOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;\n\
         GRANT USAGE ON SCHEMA {schema} TO {quoted};\nGRANT SELECT ON {schema}.version TO {quoted};\n"
    );
    for (table, column) in TABLES {
        let rights = match (table, role) {
            (_, Role::Viewer) => "SELECT",
            ("stack", Role::Deployer) => "SELECT, INSERT, UPDATE",
            // Nobody takes anything out of it.
            ("audit", Role::Deployer | Role::Admin) => "SELECT, INSERT",
            ("stack", Role::Admin) => "SELECT, INSERT, UPDATE, DELETE",
            (_, Role::Deployer | Role::Admin) => "SELECT, INSERT, DELETE",
        };
        let (command, check) = match role {
            Role::Viewer => ("SELECT", String::new()),
            Role::Deployer | Role::Admin => ("ALL", format!(" WITH CHECK ({column} = {owned})")),
        };
        sql.push_str(&format!(
            "ALTER TABLE {schema}.{table} ENABLE ROW LEVEL SECURITY;\n\
             GRANT {rights} ON {schema}.{table} TO {quoted};\n\
             DROP POLICY IF EXISTS {quoted} ON {schema}.{table};\n\
             CREATE POLICY {quoted} ON {schema}.{table} FOR {command} TO {quoted} USING ({column} = {owned}){check};\n"
        ));
    }
    sql.push_str(&format!("COMMIT;\n-- and for each of them: GRANT {quoted} TO ada;\n"));
    let grant = Grant::new(format!("PostgreSQL: rights of a {role} in {place}"), "sql", sql)
        .note("The owner of the tables runs it, after the first `up` or the statements that make them")
        .note(
            "From the first of them on, row security is on: a user who is not the owner and has none of these roles sees \
             no row",
        );
    match role {
        Role::Viewer => grant,
        Role::Deployer => grant.note(
            "PostgreSQL does not tell ending a dead run's lock from giving back one's own, so a deployer can `state unlock`; \
             removing the stack takes an admin",
        ),
        Role::Admin => grant.note("Making and changing the tables stays with their owner"),
    }
}

/// The name of a role: readable, unless it is longer than PostgreSQL keeps.
fn role_name(schema: &str, stack: &str, role: Role) -> String {
    let name = format!("{schema}_{stack}_{role}");
    if name.len() <= NAME {
        return name;
    }
    let hash: String = Sha256::digest(name.as_bytes()).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("stackkit_{hash}_{role}")
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_viewer_may_read_one_stack() {
        let grant = grant("infra", "postgres://db/x", "prod-eu", Role::Viewer);
        assert!(grant.text.contains("CREATE ROLE \"infra_prod-eu_viewer\" NOLOGIN"), "{}", grant.text);
        assert!(grant.text.contains(
            "CREATE POLICY \"infra_prod-eu_viewer\" ON infra.entry FOR SELECT TO \"infra_prod-eu_viewer\" USING (stack = 'prod-eu');"
        ));
        assert!(!["INSERT", "UPDATE", "DELETE"].iter().any(|right| grant.text.contains(right)), "{}", grant.text);
    }

    #[test]
    fn long_names_stay_apart() {
        let long = "x".repeat(80);
        let name = |stack: &str| role_name("stackkit", stack, Role::Deployer);
        assert!(name(&long).len() <= NAME);
        assert_ne!(name(&long), name(&format!("{long}y")));
    }
}
