// Opens the journal of the configuration. Without one everything else works.
import type { Log } from '../telemetry/index.ts'
import { Journal } from './journal.ts'
import { stateFolderOf, type StatePlace } from './state-folder.ts'

/** Where the journal is. */
export interface JournalPlace extends StatePlace {
  readonly poison: StatePlace['poison'] & { readonly enabled: boolean }
}

/** Undefined when it is switched off, or when its folder cannot be written: a read-only home must not keep a connector from starting. */
export function openJournal(place: JournalPlace, log: Log): Journal | undefined {
  if (!place.poison.enabled) return undefined
  const folder = stateFolderOf(place)
  const broken = (error: unknown): void =>
    log.warn(
      { event: 'poison_journal_off', folder, detail: String(error) },
      `A request that ends the process cannot be found: the folder "${folder}" cannot be written. Set poison.stateFolder.`,
    )
  try {
    return new Journal(folder, broken)
  } catch (error) {
    broken(error)
    return undefined
  }
}
