import { type ComponentProps, type ReactNode, useId } from 'react';

interface Described {
  readonly label: string;
  readonly hint?: string;
  readonly error?: string | undefined;
}

interface Wiring {
  readonly id: string;
  readonly 'aria-describedby'?: string;
  readonly 'aria-invalid'?: true;
}

/** A label, its control, and below it the error, or else the hint; both are read out with the control. */
function Labelled({ label, hint, error, control }: Described & { control: (wiring: Wiring) => ReactNode }) {
  const id = useId();
  const note = error ?? hint;
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      {control({
        id,
        ...(note === undefined ? {} : { 'aria-describedby': `${id}-note` }),
        ...(error === undefined ? {} : { 'aria-invalid': true as const }),
      })}
      {note !== undefined && (
        <p id={`${id}-note`} className={error === undefined ? 'hint' : 'error'}>
          {note}
        </p>
      )}
    </div>
  );
}

export function TextField(props: Described & ComponentProps<'input'>) {
  const { label, hint, error, ...rest } = props;
  const described = { label, error, ...(hint === undefined ? {} : { hint }) };
  return <Labelled {...described} control={(wiring) => <input {...wiring} {...rest} />} />;
}

export function TextArea(props: Described & ComponentProps<'textarea'>) {
  const { label, hint, error, ...rest } = props;
  const described = { label, error, ...(hint === undefined ? {} : { hint }) };
  return <Labelled {...described} control={(wiring) => <textarea {...wiring} {...rest} />} />;
}
