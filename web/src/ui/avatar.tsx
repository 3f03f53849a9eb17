import type { CSSProperties } from 'react';

/** A person's initial on a colour of their own; golden-angle steps keep neighbouring ids far apart. */
export function Avatar({ id, name }: { readonly id: number; readonly name: string }) {
  const style = { '--hue': Math.round((id * 137.5) % 360) } as CSSProperties;
  return (
    <span className="avatar" style={style} aria-hidden="true">
      {Array.from(name)[0]?.toUpperCase() ?? '?'}
    </span>
  );
}
