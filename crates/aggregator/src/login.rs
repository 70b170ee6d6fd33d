//! From the greeting to the first command: TLS, who the client is, and whether it may come in.
//!
//! Owns:     nothing for longer than a login takes.
//! Promises: a login that does not end within `connect_timeout` is cut off; an unknown user is asked and refused as a known one is.
//! Never:    takes a password in clear over a connection that is not encrypted.

use crate::auth::{self, Verdict};
use crate::connection::Door;
use crate::information_schema::Process;
use crate::pipe::{End, Pipe, TlsFacts};
use crate::rsa_key;
use crate::server::Server;
use crate::session::{ClientFacts, Session, Shared};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use weald_catalog::{Privilege, UserDef};
use weald_types::{Collation, Fault};
use weald_wire::compress::Algorithm;
use weald_wire::constants::client;
use weald_wire::handshake::{self, Hello, Login};
use weald_wire::{reply, scramble};

/// Each step of a login may take this long; all of it together is bounded by `connect_timeout`.
const STEP: Duration = Duration::from_secs(3600);

pub(crate) type Salt = [u8; 20];

/// A client that is in.
pub(crate) struct Entered {
    pub session: Session,
    pub shared: Arc<Shared>,
    pub capabilities: u32,
    /// The greeting's: old clients change the user with it.
    pub salt: Salt,
    pub secure: bool,
}

pub(crate) fn fresh_salt(server: &Server) -> Salt {
    let mut salt = [0u8; 20];
    server.env.random.fill(&mut salt);
    // Printable and never zero: old clients read it as a string.
    salt.iter_mut().for_each(|b| *b = 33 + *b % 93);
    salt
}

/// 1043
fn bad_handshake() -> Fault {
    Fault::mysql(1043, "08S01", "Bad handshake")
}

/// Who knocks.
pub(crate) struct Caller<'a> {
    pub id: u64,
    pub host: &'a str,
    pub port: u16,
    /// How many connections there are, this one included.
    pub connected: usize,
}

pub(crate) async fn enter(door: &Door, pipe: &mut Pipe, from: &Caller<'_>) -> Result<Entered, End> {
    let server = &door.server;
    let Caller { id, host, port, connected } = *from;
    let limit = server.variables.values().int("max_connections") as usize;
    // One more than the limit may try: an administrator who wants to see what is wrong.
    if connected > limit + 1 {
        server.metrics.refused_connections.fetch_add(1, Ordering::Relaxed);
        pipe.error_instead_of_greeting(&too_many());
        return Err(End::Refused);
    }
    let salt = fresh_salt(server);
    let offered = if door.tls.is_some() { client::OFFERED } else { client::OFFERED & !client::SSL };
    let collation = Collation::by_name(server.variables.values().text("collation_server")).map_or(45, |c| c.id() as u8);
    pipe.write(|o| handshake::greeting(o, &server.version, id as u32, &salt, collation, offered, auth::CACHING_SHA2));
    let (login, tls) = hello(door, pipe, offered).await?;
    if server.variables.values().on("require_secure_transport") && tls.is_none() {
        pipe.error(&Fault::mysql(3159, "HY000", "Connections using insecure transport are prohibited while --require_secure_transport=ON."));
        return Err(End::Refused);
    }
    let user = authenticate(door, pipe, &login, &Exchange { host, secure: tls.is_some(), salt, first: true }).await?;
    if connected > limit && !user.may_globally(Privilege::Super) {
        server.metrics.refused_connections.fetch_add(1, Ordering::Relaxed);
        pipe.error(&too_many());
        return Err(End::Refused);
    }
    if let Err(f) = server.one_more_of(&user, None) {
        pipe.error(&f);
        return Err(End::Refused);
    }
    let shared = Arc::new(Shared::new(Process {
        id,
        user: login.user.clone(),
        host: host.to_string(),
        port,
        database: None,
        command: "Sleep".into(),
        since_micros: server.now_micros(),
        seconds: 0,
        state: "".into(),
        info: None,
    }));
    let secure = tls.is_some();
    let compression = if login.capabilities & client::COMPRESS != 0 {
        Some(Algorithm::Zlib)
    } else if login.capabilities & client::ZSTD_COMPRESSION != 0 {
        Some(Algorithm::Zstd { level: login.zstd_level })
    } else {
        None
    };
    let facts = ClientFacts {
        found_rows: login.capabilities & client::FOUND_ROWS != 0,
        local_files: login.capabilities & client::LOCAL_FILES != 0,
        ignore_space: login.capabilities & client::IGNORE_SPACE != 0,
        interactive: login.capabilities & client::INTERACTIVE != 0,
        tls,
        compression,
    };
    let mut session = Session::new(server.clone(), shared.clone(), user, format!("{}@{host}", login.user).into(), facts);
    let begun = session.set_client_collation(login.collation).and_then(|()| match &login.database {
        Some(db) => session.init_db(db),
        None => Ok(()),
    });
    if let Err(f) = begun {
        pipe.error(&f);
        return Err(End::Refused);
    }
    // Known to KILL and SHOW PROCESSLIST before the client is told that it is in.
    server.register(&shared);
    let changes = session.take_changes();
    let done = reply::Done { status: session.status_flags(), schema: changes.schema.as_deref(), ..Default::default() };
    pipe.write(|o| reply::ok(o, 0, &done, login.capabilities));
    if let Err(end) = pipe.flush().await {
        server.unregister(id);
        return Err(end);
    }
    if let Some(algorithm) = compression {
        pipe.compress(algorithm);
    }
    pipe.set_packet_limit(server.variables.values().int("max_allowed_packet") as usize);
    Ok(Entered { session, shared, capabilities: login.capabilities, salt, secure })
}

fn too_many() -> Fault {
    Fault::mysql(1040, "08004", "Too many connections")
}

/// The client's answer to the greeting, over TLS if it asks for that.
async fn hello(door: &Door, pipe: &mut Pipe, offered: u32) -> Result<(Login, Option<TlsFacts>), End> {
    let packet = pipe.reply(STEP).await?;
    match handshake::hello(&packet, offered) {
        Ok(Hello::Login(login)) => return Ok((login, None)),
        Ok(Hello::Tls { .. }) => (),
        Err(_) => {
            pipe.error(&bad_handshake());
            return Err(End::Refused);
        }
    }
    let Some(tls) = &door.tls else {
        pipe.error(&bad_handshake());
        return Err(End::Refused);
    };
    let facts = pipe.start_tls(tls).await?;
    let packet = pipe.reply(STEP).await?;
    match handshake::hello(&packet, offered & !client::SSL) {
        Ok(Hello::Login(login)) => Ok((login, Some(facts))),
        Ok(Hello::Tls { .. }) | Err(_) => {
            pipe.error(&bad_handshake());
            Err(End::Refused)
        }
    }
}

/// The surroundings in which a client proves who it is.
pub(crate) struct Exchange<'a> {
    pub host: &'a str,
    /// A password may come in clear over this connection.
    pub secure: bool,
    /// What the client has computed its first answer with.
    pub salt: Salt,
    /// The first login of a connection; else COM_CHANGE_USER, whose client cannot know yet which plugin the new account wants.
    pub first: bool,
}

/// Asks for the proof that the account's plugin wants.
pub(crate) async fn authenticate(door: &Door, pipe: &mut Pipe, login: &Login, x: &Exchange<'_>) -> Result<Arc<UserDef>, End> {
    let found = auth::find_account(&door.server.catalog(), &login.user, x.host);
    // An unknown user is asked just the same.
    let user = found.clone().unwrap_or_else(|| {
        let mut u = UserDef::new(&login.user, x.host);
        u.auth = b"$A$005$unknown-user-unknown-nothing-matches-this-string-of-seventy-byte".to_vec();
        Arc::new(u)
    });
    let mut salt = x.salt;
    let mut answer = login.auth.clone();
    let knows_plugins = login.capabilities & client::PLUGIN_AUTH != 0;
    let offered = login.plugin.as_deref().filter(|_| knows_plugins).unwrap_or(auth::NATIVE);
    if !knows_plugins && offered != &*user.plugin {
        pipe.error(&Fault::mysql(
            1251,
            "08004",
            "Client does not support authentication protocol requested by server; consider upgrading MySQL client",
        ));
        return Err(End::Refused);
    }
    if offered != &*user.plugin || (!x.first && knows_plugins) {
        // A fresh salt: what was answered to the old one proves nothing here.
        salt = fresh_salt(&door.server);
        pipe.write(|o| handshake::auth_switch(o, &user.plugin, &salt));
        answer = pipe.reply(STEP).await?.to_vec();
    }
    // Some clients end an empty answer with a zero byte.
    if answer == [0] {
        answer.clear();
    }
    let with_password = !answer.is_empty();
    let proved = if &*user.plugin == auth::NATIVE {
        auth::native(&user, &answer, &salt)
    } else {
        match door.sha2.fast(&user, &answer, &salt) {
            Verdict::Yes => {
                if with_password {
                    pipe.write(|o| handshake::auth_more(o, &[3]));
                }
                true
            }
            Verdict::No => false,
            Verdict::Full => {
                pipe.write(|o| handshake::auth_more(o, &[4]));
                match whole_password(pipe, &salt, x.secure).await? {
                    // Thousands of rounds of hashing: those who wait on this thread are served elsewhere meanwhile.
                    Some(password) => tokio::task::block_in_place(|| door.sha2.full(&user, &password)),
                    None => false,
                }
            }
        }
    };
    if !proved || found.is_none() || (user.require_ssl && !x.secure) {
        let using = if with_password { "YES" } else { "NO" };
        pipe.error(&Fault::mysql(1045, "28000", format!("Access denied for user '{}'@'{}' (using password: {using})", login.user, x.host)));
        return Err(End::Refused);
    }
    if user.locked {
        pipe.error(&Fault::mysql(3118, "HY000", format!("Access denied for user '{}'@'{}'. Account is locked.", login.user, x.host)));
        return Err(End::Refused);
    }
    Ok(user)
}

/// caching_sha2_password's second step: the password itself, in clear under TLS, else sealed with our key, which the client may ask for first.
async fn whole_password(pipe: &mut Pipe, salt: &Salt, secure: bool) -> Result<Option<Vec<u8>>, End> {
    const ASKS_FOR_THE_KEY: &[u8] = &[2];
    let mut sent = pipe.reply(STEP).await?.to_vec();
    if !secure {
        let work = |e: tokio::task::JoinError| End::Io(std::io::Error::other(e));
        // Making the key and opening what it sealed takes milliseconds of arithmetic: not on a thread that serves others.
        let key = tokio::task::spawn_blocking(rsa_key::key).await.map_err(work)?.map_err(std::io::Error::other)?;
        if sent == ASKS_FOR_THE_KEY {
            pipe.write(|o| handshake::auth_more(o, key.public_pem.as_bytes()));
            sent = pipe.reply(STEP).await?.to_vec();
        }
        let Some(opened) = tokio::task::spawn_blocking(move || key.open(&sent)).await.map_err(work)? else { return Ok(None) };
        sent = opened;
        scramble::unxor_password(&mut sent, salt);
    }
    if sent.last() == Some(&0) {
        sent.pop();
    }
    // Nobody who is not known yet may have us hash more than any password can be.
    Ok((sent.len() <= auth::LONGEST_PASSWORD).then_some(sent))
}
