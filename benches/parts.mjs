// Reads /metrics and prints what each part of a message's way took: mean, and the buckets of the median and of p99.

let text = '';
for await (const chunk of process.stdin) text += chunk;

const parts = new Map();
for (const line of text.split('\n')) {
    const found = /^moyiza_message_seconds_(bucket|sum|count)\{part="(\w+)"(?:,le="([^"]+)")?\} (\S+)$/.exec(line);
    if (!found) continue;
    const [, kind, name, bound, value] = found;
    const part = parts.get(name) ?? { buckets: [] };
    if (kind === 'bucket') part.buckets.push([Number(bound.replace('+Inf', 'Infinity')), Number(value)]);
    else part[kind] = Number(value);
    parts.set(name, part);
}

const ms = (seconds) => (seconds * 1000).toFixed(2).padStart(8);
const quantile = ({ buckets, count }, q) => buckets.find(([, n]) => n >= q * count)?.[0] ?? NaN;
console.log('part            count     mean  p50 <=   p99 <=  (ms)');
for (const [name, part] of parts) {
    const row = [part.sum / part.count, quantile(part, 0.5), quantile(part, 0.99)].map(ms).join(' ');
    console.log(name.padEnd(10), String(part.count).padStart(10), row);
}
