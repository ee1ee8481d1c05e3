// Notices a changed configuration file, a Kubernetes ConfigMap's swapped symlink included.
import { statSync } from 'node:fs'

/** Looks this often; the kubelet itself needs up to a minute to bring a changed ConfigMap. */
const INTERVAL_MS = 1_000

/**
 * Calls `onChange` when the file behind `path` is another than before, and has stayed the same for one interval: an
 * editor writes in pieces. Polling, because a ConfigMap volume changes by a renamed symlink two folders up, which
 * file watchers miss.
 */
export function watchConfig(path: string, onChange: () => void): { stop(): void } {
  let used = identityOf(path)
  let previous = used
  const timer = setInterval(() => {
    const current = identityOf(path)
    const isSettled = current === previous
    previous = current
    if (current === undefined || current === used || !isSettled) return
    used = current
    onChange()
  }, INTERVAL_MS)
  timer.unref()
  return { stop: () => clearInterval(timer) }
}

// Undefined while the file is being swapped.
function identityOf(path: string): string | undefined {
  try {
    const { ino, mtimeMs, size } = statSync(path)
    return `${ino} ${mtimeMs} ${size}`
  } catch {
    return undefined
  }
}
