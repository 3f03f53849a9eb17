/** One wrong field of a refused request. */
export interface FieldProblem {
  readonly field: string;
  readonly code: string;
  readonly message: string;
}

/** The api refused: RFC 9457 problem details. */
export class Problem extends Error {
  override name = 'Problem';
  readonly status: number;
  /** What kind of problem, stable and short, as in `already-member`. */
  readonly code: string;
  readonly fields: readonly FieldProblem[];

  constructor(status: number, body: Record<string, unknown>) {
    super(String(body.detail ?? body.title ?? `HTTP ${status}`));
    this.status = status;
    // The last part of the type, for types that are whole addresses.
    const type = String(body.code ?? body.type ?? '');
    this.code = type.split(/[/:#]/).at(-1) ?? '';
    this.fields = Array.isArray(body.errors) ? (body.errors as FieldProblem[]) : [];
  }
}

/** The api could not be reached. */
export class Unreachable extends Error {
  override name = 'Unreachable';
}

export interface Call {
  readonly method?: 'GET' | 'POST' | 'DELETE';
  readonly body?: unknown;
  readonly token?: string | undefined;
}

/** Calls the api and reads its JSON; throws `Problem` or `Unreachable`. */
export async function call<Answer>(
  path: string,
  { method = 'GET', body, token }: Call = {},
): Promise<Answer> {
  const headers = new Headers({ Accept: 'application/json' });
  if (body !== undefined) headers.set('Content-Type', 'application/json');
  if (token !== undefined) headers.set('Authorization', `Bearer ${token}`);
  const request: RequestInit = { method, headers, credentials: 'same-origin' };
  if (body !== undefined) request.body = JSON.stringify(body);
  const response = await fetch(path, request).catch((error: unknown) => {
    throw new Unreachable(String(error));
  });
  const text = await response.text();
  if (!response.ok) throw new Problem(response.status, parse(text));
  return (text === '' ? undefined : JSON.parse(text)) as Answer;
}

/** A proxy's error page is not JSON: its status is all there is to say. */
function parse(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return {};
  }
}
