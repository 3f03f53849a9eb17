/** As a `ref`: takes the focus when it appears, where a step of one's own making brought it up. */
export function focusOnAppear(element: HTMLElement | null): void {
  element?.focus();
}
