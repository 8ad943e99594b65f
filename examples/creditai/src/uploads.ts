import { createHash, randomUUID } from "node:crypto";
import { constants, type Stats } from "node:fs";
import { type FileHandle, mkdir, open, readdir, rename, stat, unlink } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import type { Pool } from "pg";
import { Problem } from "./problem.js";

export interface Upload {
  sha256: string;
  size: number;
  name: string;
  contentType: string;
  createdAt: string;
}

interface Row {
  sha256: string;
  size: string;
  name: string;
  content_type: string;
  created_at: Date;
}

const COLUMNS = "sha256, size, name, content_type, created_at";
const INCOMING = ".incoming-";
const ABANDONED_AFTER_MS = 3_600_000;

function fromRow(row: Row): Upload {
  return {
    sha256: row.sha256,
    size: Number(row.size),
    name: row.name,
    contentType: row.content_type,
    createdAt: row.created_at.toISOString(),
  };
}

/**
 * Uploads: files that never change, named by the SHA-256 of what is in them, and a row for each.
 *
 * A file becomes visible by a rename, complete and on disk, and only then its row is written. So a row
 * without its file is a loss, and a file without a row is an upload that was cut off: harmless.
 */
export class Uploads {
  constructor(
    readonly directory: string,
    private readonly database: Pool,
    private readonly limit: number,
  ) {}

  /** Make the folder and take away what a crash left half written an hour ago or more. */
  async prepare(now: number = Date.now()): Promise<void> {
    await mkdir(this.directory, { recursive: true });
    for (const name of await readdir(this.directory)) {
      if (!name.startsWith(INCOMING)) continue;
      const file = join(this.directory, name);
      const found = await statOrNothing(file);
      if (found && now - found.mtimeMs > ABANDONED_AFTER_MS) await unlink(file);
    }
  }

  async store(
    body: Readable,
    name: string,
    contentType: string,
  ): Promise<{ upload: Upload; created: boolean }> {
    const incoming = join(this.directory, INCOMING + randomUUID());
    try {
      const { sha256, size } = await this.receive(body, incoming);
      await rename(incoming, this.path(sha256));
      await syncDirectory(this.directory);
      return await this.record(sha256, size, name, contentType);
    } catch (error) {
      await unlink(incoming).catch(ignoreMissing);
      throw error;
    }
  }

  async get(sha256: string): Promise<Upload | undefined> {
    const found = await this.database.query<Row>(`SELECT ${COLUMNS} FROM uploads WHERE sha256 = $1`, [
      sha256,
    ]);
    return found.rows[0] && fromRow(found.rows[0]);
  }

  /** Newest first. */
  async list(limit: number): Promise<Upload[]> {
    const found = await this.database.query<Row>(
      `SELECT ${COLUMNS} FROM uploads ORDER BY created_at DESC, sha256 LIMIT $1`,
      [limit],
    );
    return found.rows.map(fromRow);
  }

  path(sha256: string): string {
    return join(this.directory, sha256);
  }

  private async receive(body: Readable, file: string): Promise<{ sha256: string; size: number }> {
    const handle = await open(file, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o440);
    try {
      const received = await this.copy(body, handle);
      await handle.sync();
      return received;
    } finally {
      await handle.close();
    }
  }

  private async copy(body: Readable, handle: FileHandle): Promise<{ sha256: string; size: number }> {
    const hash = createHash("sha256");
    let size = 0;
    for await (const piece of body) {
      const bytes = piece as Buffer;
      size += bytes.length;
      if (size > this.limit)
        throw new Problem(413, "too-large", `At most ${this.limit} bytes can be uploaded`);
      hash.update(bytes);
      await handle.writeFile(bytes);
    }
    if (size === 0) throw new Problem(400, "empty", "The upload is empty");
    return { sha256: hash.digest("hex"), size };
  }

  private async record(sha256: string, size: number, name: string, contentType: string) {
    const inserted = await this.database.query(
      `INSERT INTO uploads (sha256, size, name, content_type) VALUES ($1, $2, $3, $4) ON CONFLICT (sha256) DO NOTHING`,
      [sha256, size, name, contentType],
    );
    const upload = await this.get(sha256);
    if (!upload) throw new Error(`the row of upload ${sha256} was removed while it was stored`);
    return { upload, created: inserted.rowCount === 1 };
  }
}

async function statOrNothing(file: string): Promise<Stats | undefined> {
  try {
    return await stat(file);
  } catch (error) {
    ignoreMissing(error);
    return undefined;
  }
}

function ignoreMissing(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
}

async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, constants.O_RDONLY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
