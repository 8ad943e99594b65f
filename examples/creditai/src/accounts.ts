import type { Pool } from "pg";
import { Problem } from "./problem.js";

export interface Account {
  id: string;
  email: string;
}

/** Check an e-mail address as far as it makes sense to, and write it one way. */
export function normalEmail(value: unknown): string {
  const email = typeof value === "string" ? value.trim().toLowerCase() : "";
  if (email.length > 254 || !/^[^\s@]+@[^\s@]+$/.test(email)) {
    throw new Problem(400, "bad-email", "An e-mail address is needed, like name@example.org");
  }
  return email;
}

/** Return the account with an address; the first use of an address opens it. */
export async function openAccount(database: Pool, email: string): Promise<Account> {
  const find = () => database.query<Account>("SELECT id, email FROM accounts WHERE email = $1", [email]);
  const known = (await find()).rows[0];
  if (known) return known;
  await database.query("INSERT INTO accounts (email) VALUES ($1) ON CONFLICT (email) DO NOTHING", [email]);
  const opened = (await find()).rows[0];
  if (!opened) throw new Error(`the account of ${email} was removed while it was opened`);
  return opened;
}
