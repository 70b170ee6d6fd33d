//! Statements about the cluster: who is in it, and as what.
//!
//! Owns:     nothing.
//! Promises: MemSQL's grammar; options that it has and we do not are refused by name.
//! Never:    knows whether there is such a node.

use super::{Parsed, Parser};
use crate::ast::{ClusterVerb, NodeAddress, NodeLogin, Statement};
use crate::keyword::Kw;
use crate::lexer::Tok;

impl Parser<'_> {
    /// None: the statement is not one of these.
    pub(super) fn cluster(&mut self) -> Option<Parsed<Statement>> {
        let next = self.peek();
        let verb: fn(&mut Self) -> Parsed<Statement> = match (self.tok.kw, next.kw) {
            (Kw::BOOTSTRAP, Kw::AGGREGATOR) => Self::bootstrap,
            (Kw::ADD, Kw::AGGREGATOR) => Self::add_aggregator,
            (Kw::ADD, Kw::LEAF) => Self::add_leaf,
            (Kw::REMOVE, Kw::AGGREGATOR) => Self::remove_aggregator,
            (Kw::REMOVE, Kw::LEAF) => Self::remove_leaf,
            (Kw::DETACH, Kw::LEAF) => Self::detach_leaf,
            (Kw::ATTACH, Kw::LEAF) => Self::attach_leaf,
            (Kw::ATTACH, Kw::ALL) => Self::attach_all,
            (Kw::AGGREGATOR, Kw::SET) => Self::set_as_master,
            (Kw::AGGREGATOR, Kw::SYNC) => Self::sync_auto_increment,
            (Kw::PROMOTE, Kw::AGGREGATOR) => Self::promote_aggregator,
            (Kw::CLEAR, Kw::ORPHAN) => Self::clear_orphans,
            _ => return None,
        };
        self.bump();
        self.bump();
        Some(verb(self))
    }

    fn bootstrap(&mut self) -> Parsed<Statement> {
        let at = if self.is(Tok::End) { None } else { Some(self.node_address()?) };
        done(ClusterVerb::Bootstrap { at })
    }

    fn add_aggregator(&mut self) -> Parsed<Statement> {
        done(ClusterVerb::AddAggregator(self.node_login()?))
    }

    fn add_leaf(&mut self) -> Parsed<Statement> {
        let node = self.node_login()?;
        let mut group = None;
        if self.eat(Kw::INTO) {
            self.expect(Kw::GROUP)?;
            group = Some(self.number()?);
        }
        done(ClusterVerb::AddLeaf { node, group })
    }

    fn remove_aggregator(&mut self) -> Parsed<Statement> {
        done(ClusterVerb::RemoveAggregator(self.node_address()?))
    }

    fn remove_leaf(&mut self) -> Parsed<Statement> {
        let node = self.node_address()?;
        let force = self.eat(Kw::FORCE);
        if self.at(Kw::KILL) {
            return self.unsupported("REMOVE LEAF … KILL");
        }
        done(ClusterVerb::RemoveLeaf { node, force })
    }

    fn detach_leaf(&mut self) -> Parsed<Statement> {
        let node = self.node_address()?;
        if self.at(Kw::KILL) {
            return self.unsupported("DETACH LEAF … KILL");
        }
        let force = self.eat(Kw::FORCE);
        let ensure_safety = !force && self.bytes(self.tok).eq_ignore_ascii_case(b"ENSURE_PARTITION_SAFETY");
        if ensure_safety {
            self.bump();
        }
        done(ClusterVerb::DetachLeaf { node, ensure_safety })
    }

    fn attach_leaf(&mut self) -> Parsed<Statement> {
        if self.eat(Kw::ALL) {
            return self.all_leaves();
        }
        let node = self.node_address()?;
        let force = self.eat(Kw::FORCE);
        let no_rebalance = self.no_rebalance()?;
        done(ClusterVerb::AttachLeaf { node, force, no_rebalance })
    }

    /// ATTACH ALL LEAVES
    fn attach_all(&mut self) -> Parsed<Statement> {
        self.expect(Kw::LEAVES)?;
        self.all_leaves()
    }

    fn all_leaves(&mut self) -> Parsed<Statement> {
        let no_rebalance = self.no_rebalance()?;
        done(ClusterVerb::AttachAllLeaves { no_rebalance })
    }

    fn no_rebalance(&mut self) -> Parsed<bool> {
        let no = self.eat(Kw::NO);
        if no {
            self.expect(Kw::REBALANCE)?;
        }
        Ok(no)
    }

    fn set_as_master(&mut self) -> Parsed<Statement> {
        self.expect(Kw::AS)?;
        self.expect(Kw::MASTER)?;
        done(ClusterVerb::SetAsMaster)
    }

    /// `AGGREGATOR SYNC AUTO_INCREMENT [ON database[.table]] [ALL]`
    fn sync_auto_increment(&mut self) -> Parsed<Statement> {
        self.expect(Kw::AUTO_INCREMENT)?;
        let (mut database, mut table) = (None, None);
        if self.eat(Kw::ON) {
            database = Some(self.ident()?);
            if self.eat_tok(Tok::Dot) {
                table = Some(self.ident()?);
            }
        }
        let all_aggregators = self.eat(Kw::ALL);
        done(ClusterVerb::SyncAutoIncrement { database, table, all_aggregators })
    }

    fn promote_aggregator(&mut self) -> Parsed<Statement> {
        let node = self.node_address()?;
        self.expect(Kw::TO)?;
        self.expect(Kw::MASTER)?;
        done(ClusterVerb::PromoteAggregator(node))
    }

    fn clear_orphans(&mut self) -> Parsed<Statement> {
        self.expect(Kw::DATABASES)?;
        done(ClusterVerb::ClearOrphanDatabases)
    }

    fn node_address(&mut self) -> Parsed<NodeAddress> {
        let host = self.ident_or_string()?;
        let port = self.node_port()?;
        Ok(NodeAddress { host, port })
    }

    fn node_port(&mut self) -> Parsed<Option<u16>> {
        if !self.eat_tok(Tok::Colon) {
            return Ok(None);
        }
        let start = self.tok.start;
        match u16::try_from(self.number()?) {
            Ok(port) if port > 0 => Ok(Some(port)),
            Ok(_) | Err(_) => Err(self.syntax_error(start)),
        }
    }

    /// `user[:'password']@'host'[:port]`, or the address alone, for a node that knows the cluster's secret from its own configuration.
    fn node_login(&mut self) -> Parsed<NodeLogin> {
        let first = self.ident_or_string()?;
        let mut password = None;
        if self.is(Tok::Colon) && !self.next_is(Tok::Integer) {
            self.bump();
            password = Some(self.string()?);
        }
        // `@'host'` is one token, as a user variable is.
        if password.is_some() || self.is(Tok::UserVariable) {
            let host = self.user_variable()?;
            let port = self.node_port()?;
            return Ok(NodeLogin { at: NodeAddress { host, port }, user: Some(first), password });
        }
        let port = self.node_port()?;
        Ok(NodeLogin { at: NodeAddress { host: first, port }, user: None, password: None })
    }
}

fn done(verb: ClusterVerb) -> Parsed<Statement> {
    Ok(Statement::Cluster(Box::new(verb)))
}
