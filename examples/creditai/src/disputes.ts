import { createHash, randomUUID } from "node:crypto";
import type { Pool } from "pg";
import { openAccount } from "./accounts.js";
import { Problem } from "./problem.js";

export interface DisputeRequest {
  account: string;
  creditor: string;
  reason: string;
  amountCents: number | null;
  document: string | null;
}

export interface Dispute extends DisputeRequest {
  id: string;
  createdAt: string;
}

interface Row {
  id: string;
  account: string;
  creditor: string;
  reason: string;
  amount_cents: string | null;
  document_sha256: string | null;
  request_sha256: string;
  created_at: Date;
}

const SELECT = `
  SELECT d.id, a.email AS account, d.creditor, d.reason, d.amount_cents, d.document_sha256, d.request_sha256, d.created_at
  FROM disputes d JOIN accounts a ON a.id = d.account_id`;

function fromRow(row: Row): Dispute {
  return {
    id: row.id,
    account: row.account,
    creditor: row.creditor,
    reason: row.reason,
    amountCents: row.amount_cents === null ? null : Number(row.amount_cents),
    document: row.document_sha256,
    createdAt: row.created_at.toISOString(),
  };
}

function text(body: Record<string, unknown>, field: string, longest: number): string {
  const value = body[field];
  const trimmed = typeof value === "string" ? value.trim() : "";
  if (trimmed.length < 1 || trimmed.length > longest) {
    throw new Problem(400, "bad-field", `${field} must be a text of 1 to ${longest} characters`);
  }
  return trimmed;
}

/** Read a request's body; the account is known already (from the session or the body). */
export function readDisputeRequest(value: unknown, account: string): DisputeRequest {
  const body = typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  const amountCents = body.amountCents ?? null;
  const document = body.document ?? null;
  if (amountCents !== null && !(Number.isSafeInteger(amountCents) && (amountCents as number) >= 0)) {
    throw new Problem(400, "bad-field", "amountCents must be a whole number of cents, 0 or more");
  }
  if (document !== null && !(typeof document === "string" && /^[0-9a-f]{64}$/.test(document))) {
    throw new Problem(400, "bad-field", "document must be the SHA-256 of an upload");
  }
  return {
    account,
    creditor: text(body, "creditor", 200),
    reason: text(body, "reason", 2000),
    amountCents: amountCents as number | null,
    document: document,
  };
}

/** Tell two requests apart by content, whatever order their fields were sent in. */
export function fingerprint(request: DisputeRequest): string {
  const { account, creditor, reason, amountCents, document } = request;
  const parts = JSON.stringify([account, creditor, reason, amountCents, document]);
  return createHash("sha256").update(parts).digest("hex");
}

/**
 * Store a dispute once a key.
 *
 * The unique index decides between two requests that arrive together: the second waits for the first and
 * then finds its row. A key that comes back with another content is refused.
 */
export async function createDispute(
  database: Pool,
  key: string,
  request: DisputeRequest,
): Promise<{ dispute: Dispute; replayed: boolean }> {
  const sent = fingerprint(request);
  const account = await openAccount(database, request.account);
  await refuseUnknownDocument(database, request.document);
  // One statement is a transaction of its own, and each one less is a round trip less under load.
  const inserted = await database.query<{ id: string; created_at: Date }>(
    `INSERT INTO disputes (id, account_id, creditor, reason, amount_cents, document_sha256, idempotency_key, request_sha256)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (idempotency_key) DO NOTHING RETURNING id, created_at`,
    [
      randomUUID(),
      account.id,
      request.creditor,
      request.reason,
      request.amountCents,
      request.document,
      key,
      sent,
    ],
  );
  const fresh = inserted.rows[0];
  if (fresh) {
    return {
      dispute: { id: fresh.id, ...request, createdAt: fresh.created_at.toISOString() },
      replayed: false,
    };
  }
  const found = await database.query<Row>(`${SELECT} WHERE d.idempotency_key = $1`, [key]);
  const row = found.rows[0];
  if (!row) throw new Error(`the dispute of key ${key} was removed while it was stored`);
  if (row.request_sha256 !== sent) {
    throw new Problem(422, "key-reused", "This Idempotency-Key was used for another request");
  }
  return { dispute: fromRow(row), replayed: true };
}

async function refuseUnknownDocument(database: Pool, document: string | null): Promise<void> {
  if (document === null) return;
  const found = await database.query("SELECT 1 FROM uploads WHERE sha256 = $1", [document]);
  if (found.rowCount === 0)
    throw new Problem(400, "no-such-document", "There is no upload with this SHA-256");
}

export async function getDispute(database: Pool, id: string): Promise<Dispute | undefined> {
  const found = await database.query<Row>(`${SELECT} WHERE d.id = $1`, [id]);
  return found.rows[0] && fromRow(found.rows[0]);
}

/** Newest first. */
export async function listDisputes(database: Pool, limit: number): Promise<Dispute[]> {
  const found = await database.query<Row>(`${SELECT} ORDER BY d.created_at DESC, d.id DESC LIMIT $1`, [
    limit,
  ]);
  return found.rows.map(fromRow);
}
