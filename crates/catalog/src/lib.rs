//! What a database, a table, an index, a user, a node is; SHOW CREATE in MySQL's format.
//!
//! Owns:     nothing; definitions are immutable values behind `Arc`.
//! Promises: a [`CatalogView`] is one consistent, numbered state of everything defined; readers keep it as long as they like.
//! Never:    changes a definition in place: `meta` makes new ones.

pub mod command;
pub mod privilege;
pub mod show_create;
pub mod table;
pub mod topology;
pub mod user;
pub mod view;

pub use command::{Command, Outcome, Rename};
pub use privilege::{Privilege, PrivilegeSet};
pub use table::{ColumnDef, DefaultValue, FieldSource, IndexDef, IndexPart, Layout, Sharding, TableDef, TableRef, ViewDef};
pub use topology::{Authority, NewNode, Node, NodeState, Place, Ports, Role, Topology, TopologyCommand};
pub use user::{Access, UserDef};
pub use view::{CatalogView, ClusterView, DatabaseDef};
