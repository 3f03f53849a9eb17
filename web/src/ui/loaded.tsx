import { type ReactNode, useCallback, useEffect, useState } from 'react';
import { describeError, useText } from '../text/text.tsx';

export type Loaded<Value> =
  | { readonly state: 'loading' }
  | { readonly state: 'failed'; readonly error: unknown }
  | { readonly state: 'ready'; readonly value: Value };

/** Loads something when the page appears and whenever `load` changes; `reload` fetches it again in place. */
export function useLoaded<Value>(load: () => Promise<Value>): readonly [Loaded<Value>, () => Promise<void>] {
  const [loaded, setLoaded] = useState<Loaded<Value>>({ state: 'loading' });
  useEffect(() => {
    let isWanted = true;
    setLoaded({ state: 'loading' });
    load().then(
      (value) => isWanted && setLoaded({ state: 'ready', value }),
      (error: unknown) => isWanted && setLoaded({ state: 'failed', error }),
    );
    return () => {
      isWanted = false;
    };
  }, [load]);
  const reload = useCallback(
    () =>
      load().then(
        (value) => setLoaded({ state: 'ready', value }),
        (error: unknown) => setLoaded({ state: 'failed', error }),
      ),
    [load],
  );
  return [loaded, reload];
}

/** Draws what was loaded, or that it is on its way, or why it is not there. */
export function Show<Value>(props: {
  readonly loaded: Loaded<Value>;
  readonly reload: () => Promise<void>;
  readonly children: (value: Value) => ReactNode;
}) {
  const text = useText();
  const { loaded, reload, children } = props;
  if (loaded.state === 'ready') return children(loaded.value);
  if (loaded.state === 'loading') {
    return (
      <p className="loading" role="status">
        {text.loading}
      </p>
    );
  }
  return (
    <div className="notice" role="alert">
      <p>{describeError(loaded.error, text)}</p>
      <button type="button" className="button quiet" onClick={() => void reload()}>
        {text.tryAgain}
      </button>
    </div>
  );
}
