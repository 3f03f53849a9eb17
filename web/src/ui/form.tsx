import { type FormEvent, useEffect, useRef, useState } from 'react';
import { type FieldProblem, Problem } from '../api/http.ts';
import { describeError, describeFlaw, useText } from '../text/text.tsx';

/** What a form is doing: its submit handler, whether it is busy, and what went wrong, by field and in general. */
export interface Submission {
  readonly submit: (event: FormEvent<HTMLFormElement>) => void;
  readonly busy: boolean;
  readonly error: string | undefined;
  readonly fieldError: (field: string) => string | undefined;
  readonly form: React.RefObject<HTMLFormElement | null>;
}

/** Sends a form once at a time, and puts the focus on the first field that was refused. */
export function useSubmission(send: (data: FormData) => Promise<void>): Submission {
  const text = useText();
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState<unknown>();
  /** A refused field that this form does not show. */
  const [elsewhere, setElsewhere] = useState<FieldProblem>();
  const form = useRef<HTMLFormElement>(null);

  useEffect(() => {
    if (failure !== undefined) form.current?.querySelector<HTMLElement>('[aria-invalid]')?.focus();
  }, [failure]);

  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    if (busy) return;
    setBusy(true);
    setFailure(undefined);
    setElsewhere(undefined);
    const { elements } = event.currentTarget;
    send(new FormData(event.currentTarget))
      .catch((error: unknown) => {
        setFailure(error);
        setElsewhere(
          error instanceof Problem ? error.fields.find(({ field }) => !elements.namedItem(field)) : undefined,
        );
      })
      .finally(() => setBusy(false));
  };

  const fields = failure instanceof Problem ? failure.fields : [];
  let error: string | undefined;
  if (elsewhere !== undefined) error = describeFlaw(elsewhere, text);
  else if (failure !== undefined && fields.length === 0) error = describeError(failure, text);
  const fieldError = (field: string) => {
    const problem = fields.find((candidate) => candidate.field === field);
    return problem && describeFlaw(problem, text);
  };
  return { submit, busy, error, fieldError, form };
}
