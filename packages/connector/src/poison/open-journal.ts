// Opens the configured journal. The connector works without one.
import type { Log } from '../telemetry/index.ts'
import { Journal } from './journal.ts'
import { stateFolderOf, type StatePlace } from './state-folder.ts'

/** The location of the journal, and whether it is enabled. */
export interface JournalPlace extends StatePlace {
  readonly poison: StatePlace['poison'] & { readonly enabled: boolean }
}

/**
 * Returns undefined if the journal is disabled or its folder is not writable: the connector must start even with a
 * read-only home directory.
 */
export function openJournal(place: JournalPlace, log: Log): Journal | undefined {
  if (!place.poison.enabled) return undefined
  const folder = stateFolderOf(place)
  const broken = (error: unknown): void =>
    log.warn(
      { event: 'poison_journal_off', folder, detail: String(error) },
      `Poison detection is off: the folder "${folder}" is not writable, so a request that crashes the process cannot be identified. Set poison.stateFolder to a writable folder.`,
    )
  try {
    return new Journal(folder, broken)
  } catch (error) {
    broken(error)
    return undefined
  }
}
