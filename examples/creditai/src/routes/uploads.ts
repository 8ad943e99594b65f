import { Router } from "express";
import type { Parts } from "../parts.js";
import { Problem } from "../problem.js";

export function uploads(parts: Parts): Router {
  const router = Router();

  router.post("/", async (request, response) => {
    const name = fileName(request.get("x-file-name"));
    const contentType = request.get("content-type") ?? "application/octet-stream";
    const { upload, created } = await parts.uploads.store(request, name, contentType.slice(0, 200));
    parts.metrics.uploadedBytes.inc(upload.size);
    response
      .location(`/api/uploads/${upload.sha256}`)
      .status(created ? 201 : 200)
      .json(upload);
  });

  router.get("/", async (_request, response) => {
    response.json({ uploads: await parts.uploads.list(20) });
  });

  // Always as a download: what somebody uploaded must never run as a page of this site.
  router.get("/:sha256", async (request, response) => {
    const upload = await parts.uploads.get(request.params.sha256);
    if (!upload) throw new Problem(404, "no-such-upload", "There is no upload with this SHA-256");
    response.attachment(upload.name).type("application/octet-stream");
    response.set({ "Cache-Control": "private, max-age=31536000, immutable", ETag: `"${upload.sha256}"` });
    await new Promise<void>((resolve, reject) => {
      response.sendFile(
        upload.sha256,
        { root: parts.uploads.directory, lastModified: false },
        (error?: Error) => {
          if (error) reject(error);
          else resolve();
        },
      );
    });
  });
  return router;
}

/** The name a person gave the file, percent-encoded in the header; a label, never a path. */
function fileName(header: string | undefined): string {
  try {
    return (
      decodeURIComponent(header ?? "")
        .replace(/[/\\\p{Cc}]/gu, "_")
        .slice(0, 200) || "document"
    );
  } catch {
    throw new Problem(400, "bad-name", "X-File-Name must be percent-encoded");
  }
}
