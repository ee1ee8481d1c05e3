// The cache folder outside the checkout, for files that are slow to download or build. A lock allows only one writer
// per entry.
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

/** conformance/fixtures/cache-folder.ts determines the folder by the same rule. */
export const CACHE =
  process.env.INFERWIRE_CACHE ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'inferwire')

/**
 * Returns the cache folder `name`. If it does not exist, `make(temporaryFolder)` creates its content, while other
 * processes wait for at most `waitSeconds`. A cache folder is either complete or absent.
 */
export async function cachedFolder(name, make, waitSeconds = 600) {
  const folder = join(CACHE, name)
  if (existsSync(folder)) return folder
  mkdirSync(CACHE, { recursive: true })
  return await withLock(`${folder}.lock`, waitSeconds, async () => {
    if (existsSync(folder)) return folder
    const temporary = `${folder}.${process.pid}.tmp`
    rmSync(temporary, { recursive: true, force: true })
    mkdirSync(temporary)
    try {
      await make(temporary)
      renameSync(temporary, folder)
    } finally {
      rmSync(temporary, { recursive: true, force: true })
    }
    return folder
  })
}

/** Runs `work` under a lock file, because two checkouts may be tested at the same time. Waits at most `waitSeconds`. */
export async function withLock(lock, waitSeconds, work) {
  await takeLock(lock, waitSeconds)
  try {
    return await work()
  } finally {
    rmSync(lock, { force: true })
  }
}

async function takeLock(lock, waitSeconds) {
  for (let seconds = 0; seconds < waitSeconds; seconds++) {
    try {
      return writeFileSync(lock, String(process.pid), { flag: 'wx' })
    } catch (error) {
      if (error.code !== 'EEXIST')
        throw new Error(`"${lock}" cannot be written: ${error.message}`, { cause: error })
    }
    if (!isRunning(holderOf(lock))) rmSync(lock, { force: true })
    else await delay(1000)
  }
  throw new Error(
    `Another process has held "${lock}" for ${waitSeconds} seconds. Remove this file if no other install is running.`,
  )
}

// Returns the process identifier in the lock file. If the lock has just been released, returns 1, the identifier of a
// process that is always running.
function holderOf(lock) {
  try {
    return Number(readFileSync(lock, 'utf8')) || 1
  } catch {
    return 1
  }
}

function isRunning(pid) {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return error.code === 'EPERM'
  }
}
