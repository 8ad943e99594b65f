import type { ErrorRequestHandler, RequestHandler } from "express";
import type { Logger } from "pino";
import { pathOf } from "./metrics.js";

/** An answer that is not the one hoped for. `code` is for programs, the message for people. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

/** SQLSTATE classes and system errors that mean: the database is not there just now. */
const AWAY = /^(08|57P0|53)|^(ECONNREFUSED|ECONNRESET|ENOENT|EPIPE|ETIMEDOUT)$/;
const TIMED_OUT = /timeout exceeded when trying to connect|Connection terminated|Connection is closed/;

function asProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  const { status, type, code, message } = error as {
    status?: number;
    type?: string;
    code?: string;
    message?: string;
  };
  if (type !== undefined && status !== undefined && status < 500) {
    return new Problem(status, type, message ?? "The request cannot be read");
  }
  if (AWAY.test(code ?? "") || TIMED_OUT.test(message ?? "")) {
    return new Problem(503, "unavailable", "A part this service needs is not there just now");
  }
  return new Problem(500, "unexpected", "Something went wrong here; the log says what");
}

export const notFound: RequestHandler = (request, _response, next) => {
  next(new Problem(404, "not-found", `There is nothing at ${pathOf(request)}`));
};

/** Answer every error as JSON, and log what people cannot be told. */
export function answerProblems(log: Logger): ErrorRequestHandler {
  return (error: unknown, request, response, next) => {
    const problem = asProblem(error);
    if (problem.status >= 500)
      log.error({ err: error, path: pathOf(request), code: problem.code }, "request failed");
    if (response.headersSent) {
      next(error);
      return;
    }
    if (problem.status === 503) response.set("Retry-After", "1");
    response.status(problem.status).json({ error: { code: problem.code, message: problem.message } });
  };
}
