import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { Redis } from "ioredis";
import type { Pool } from "pg";
import { SESSION_PREFIX } from "./sessions.js";

export interface Question {
  name: string;
  ok: boolean;
  detail: string;
}

export interface Consistency {
  ok: boolean;
  questions: Question[];
  facts: Record<string, number | string | null>;
}

/** How many single cases a detail names. */
const NAMED = 5;

/**
 * Ask what must hold between the parts, whatever state they were recovered to.
 *
 * Reads only. Indexes are not trusted: a damaged one must not hide what it points away from.
 */
export async function askConsistency(
  database: Pool,
  uploadsDir: string,
  redis?: Redis,
): Promise<Consistency> {
  const questions = [
    ...(await uploadsAndFiles(database, uploadsDir)),
    await nothingLike(database, "every dispute has its account", ORPHANED_DISPUTES),
    await nothingLike(database, "every document of a dispute has its row", MISSING_DOCUMENTS),
    await nothingLike(database, "every idempotency key made one dispute", REPEATED_KEYS),
    await nothingLike(database, "no heartbeat comes from the future", FUTURE_HEARTBEATS),
  ];
  if (redis) questions.push(await sessionsAndAccounts(database, redis));
  return { ok: questions.every((one) => one.ok), questions, facts: await facts(database) };
}

const ORPHANED_DISPUTES = `
  SELECT d.id::text AS name FROM disputes d LEFT JOIN accounts a ON a.id + 0 = d.account_id WHERE a.id IS NULL`;
const MISSING_DOCUMENTS = `
  SELECT d.id::text AS name FROM disputes d LEFT JOIN uploads u ON u.sha256 || '' = d.document_sha256
  WHERE d.document_sha256 IS NOT NULL AND u.sha256 IS NULL`;
const REPEATED_KEYS = `SELECT idempotency_key || '' AS name FROM disputes GROUP BY 1 HAVING count(*) > 1`;
const FUTURE_HEARTBEATS = `SELECT id::text AS name FROM heartbeat WHERE at > clock_timestamp() + interval '5 s'`;

function answer(name: string, wrong: string[], fine: string): Question {
  const shown = wrong.slice(0, NAMED).join(", ") + (wrong.length > NAMED ? ", …" : "");
  return { name, ok: wrong.length === 0, detail: wrong.length === 0 ? fine : `${wrong.length}: ${shown}` };
}

async function nothingLike(database: Pool, name: string, query: string): Promise<Question> {
  const found = await database.query<{ name: string }>(query);
  return answer(
    name,
    found.rows.map((row) => row.name),
    "yes",
  );
}

async function uploadsAndFiles(database: Pool, directory: string): Promise<Question[]> {
  const rows = await database.query<{ sha256: string; size: string }>("SELECT sha256, size FROM uploads");
  const files = (await readdir(directory)).filter((name) => /^[0-9a-f]{64}$/.test(name));
  const contents = new Map<string, { sha256: string; size: number }>();
  for (const name of files) contents.set(name, await hashFile(join(directory, name)));

  const missing = rows.rows.filter((row) => !contents.has(row.sha256)).map((row) => row.sha256);
  const resized = rows.rows.filter((row) => {
    const content = contents.get(row.sha256);
    return content !== undefined && content.size !== Number(row.size);
  });
  const changed = files.filter((name) => contents.get(name)?.sha256 !== name);
  const known = new Set(rows.rows.map((row) => row.sha256));
  const extra = files.filter((name) => !known.has(name)).length;
  return [
    answer(
      "every upload has its file",
      missing,
      `${rows.rows.length} rows, ${extra} files without a row yet`,
    ),
    answer(
      "every upload has the size its row says",
      resized.map((row) => row.sha256),
      "yes",
    ),
    answer("every file is what its name says", changed, `${files.length} files hashed`),
  ];
}

async function hashFile(file: string): Promise<{ sha256: string; size: number }> {
  const hash = createHash("sha256");
  let size = 0;
  for await (const piece of createReadStream(file)) {
    const bytes = piece as Buffer;
    hash.update(bytes);
    size += bytes.length;
  }
  return { sha256: hash.digest("hex"), size };
}

async function sessionsAndAccounts(database: Pool, redis: Redis): Promise<Question> {
  const known = await database.query<{ id: string }>("SELECT id FROM accounts");
  const ids = new Set(known.rows.map((row) => row.id));
  const wrong: string[] = [];
  let cursor = "0";
  let seen = 0;
  do {
    const [next, keys] = await redis.scan(cursor, "MATCH", `${SESSION_PREFIX}*`, "COUNT", 500);
    cursor = next;
    const values = keys.length > 0 ? await redis.mget(keys) : [];
    values.forEach((value, index) => {
      if (value === null) return; // ran out between the two commands
      seen += 1;
      if (!ids.has((JSON.parse(value) as { id: string }).id)) wrong.push(keys[index] ?? "");
    });
  } while (cursor !== "0");
  return answer("every session has its account", wrong, `${seen} sessions`);
}

async function facts(database: Pool): Promise<Consistency["facts"]> {
  const found = await database.query<Record<string, string | null>>(`
    SELECT (SELECT count(*) FROM accounts) AS accounts, (SELECT count(*) FROM disputes) AS disputes,
           (SELECT count(*) FROM uploads) AS uploads, (SELECT coalesce(sum(size), 0) FROM uploads) AS uploaded_bytes,
           (SELECT to_json(max(created_at)) #>> '{}' FROM disputes) AS newest_dispute,
           (SELECT to_json(max(at)) #>> '{}' FROM heartbeat) AS newest_heartbeat`);
  const row = found.rows[0] ?? {};
  return {
    accounts: Number(row.accounts),
    disputes: Number(row.disputes),
    uploads: Number(row.uploads),
    uploadedBytes: Number(row.uploaded_bytes),
    newestDispute: row.newest_dispute ?? null,
    newestHeartbeat: row.newest_heartbeat ?? null,
  };
}
