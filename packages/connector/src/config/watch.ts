// Detects changes to the configuration file, even in a Kubernetes ConfigMap volume.
import { statSync } from 'node:fs'

/** Time between two checks. The kubelet takes up to a minute to update a ConfigMap volume. */
const INTERVAL_MS = 1_000

/**
 * Calls `onChange` when the file behind `path` has changed and then stayed the same for one interval, because editors
 * write in several steps. It polls, because a ConfigMap volume is updated by renaming a symlink in a parent folder,
 * which file watchers do not detect.
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

// Returns undefined while the file is being replaced.
function identityOf(path: string): string | undefined {
  try {
    const { ino, mtimeMs, size } = statSync(path)
    return `${ino} ${mtimeMs} ${size}`
  } catch {
    return undefined
  }
}
