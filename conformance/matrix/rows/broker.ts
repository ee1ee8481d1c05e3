// Rows with a broker that is killed, has no disk space, or has too small a queue.
import { execFileSync } from 'node:child_process'
import { closeSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { tempFolder } from '../../fixtures/temp-folder.ts'
import { PUBLISHES_DROPS, watchDrops } from '../broker-drops.ts'
import { amountOf, Findings, type Row } from '../row.ts'
import { onStage, pause, until, type Stage } from '../stage.ts'
import { startUnderLoad } from '../under-load.ts'

const COMMON = ['max_queued_messages 0', 'max_queued_bytes 0', 'max_inflight_messages 2000', 'log_type error']
const SETTINGS = [
  { name: 'defaults', lines: ['autosave_interval 1800'] },
  { name: 'autosave_interval_1', lines: ['autosave_interval 1'] },
  { name: 'autosave_on_changes', lines: ['autosave_on_changes true', 'autosave_interval 1'] },
] as const

const KILLS = 200

/** Tests how reliable Mosquitto's PUBACKs are. */
export const brokerKill: Row = {
  name: 'broker-kill',
  what: 'kill -9 of Mosquitto 2.0, 200 times (--quick: 3) with each of three persistence settings; 300 requests/s from raw and SDK clients',
  criterion:
    '0 unanswered SDK requests; with autosave_on_changes, unanswered raw requests <= requests in flight at the kills; 0 crossed and 0 phantom replies',
  fullSeconds: 3 * KILLS * 2 + 60,
  isTimed: false,
  run: async (options) => {
    const { quick, say } = options
    const findings = new Findings()
    for (const { name, lines } of SETTINGS) {
      await onStage(async (stage) => {
        const kills = amountOf(options, KILLS, 3)
        const play = await startUnderLoad(stage, {
          broker: { isInMemory: true, config: [...COMMON, ...lines] },
          requests: 1_000_000,
          requestsPerSecond: 300,
          rawClients: 20,
          sdkClients: 4,
        })
        let underWay = 0
        for (let kill = 1; kill <= kills; kill++) {
          await pause(1_000 + Math.random() * 1_500)
          underWay += play.load.unanswered
          await play.killBroker()
          if (kill % 20 === 0) say(`${name}: ${kill} kills`)
        }
        await pause(1_000)
        const verdict = await play.end(quick ? 6_000 : 15_000)
        const lost = verdict.unanswered + verdict.unansweredByBrokerKill
        say(`${name}: ${verdict.requests} requests, ${lost} raw lost, ${verdict.unansweredSdk} SDK`)
        findings.figure(`${name}: requests`, verdict.requests)
        findings.ran(`${name}: kills`, kills, KILLS)
        findings.figure(`${name}: under_way_at_kills`, underWay)
        findings.figure(`${name}: raw_lost`, lost)
        findings.figure(`${name}: raw_in_doubt`, verdict.indeterminate)
        findings.figure(`${name}: sdk_unanswered`, verdict.unansweredSdk)
        findings.figure(`${name}: sessions_lost`, play.connector.count('session_lost'))
        findings.figure(`${name}: extra_calls`, verdict.extraCalls)
        findings.check(
          verdict.unansweredSdk === 0,
          `${name}: ${verdict.unansweredSdk} unanswered SDK requests`,
        )
        findings.check(
          verdict.crossed + verdict.phantom === 0,
          `${name}: crossed or phantom replies: ${JSON.stringify(verdict.firstWrongReplies)}`,
        )
        if (name === 'autosave_on_changes')
          findings.check(
            lost <= underWay,
            `${name}: ${lost} requests were lost, but only ${underWay} were in flight`,
          )
        findings.check(play.connector.deaths.length === 0, play.connector.deaths.join('; '))
      })
    }
    return findings.result
  },
}

/** Tests a broker whose disk is full. */
export const brokerDiskFull: Row = {
  name: 'broker-disk-full',
  what: "the broker's disk (tmpfs, 16 MB) is filled, the broker is killed and restarted, then space is freed; 100 requests/s from SDK and raw clients",
  criterion: '0 unanswered SDK requests after space is freed; 0 crossed replies',
  fullSeconds: 130,
  isTimed: false,
  run: (options) =>
    onStage(async (stage) => {
      const { quick, say } = options
      const findings = new Findings()
      const disk = mountSmallDisk(stage)
      const play = await withTempFolderAt(disk, () =>
        startUnderLoad(stage, {
          broker: { config: [...COMMON, 'autosave_on_changes true', 'autosave_interval 1', 'log_type all'] },
          requests: 200_000,
          requestsPerSecond: 100,
          rawClients: 4,
          sdkClients: 8,
        }),
      )
      const ballast = join(disk, 'ballast')
      const times = amountOf(options, 10, 1)
      let fullErrors = 0
      for (let time = 1; time <= times; time++) {
        await pause(2_000)
        fill(ballast)
        await pause(3_000)
        fullErrors += (play.broker.log().match(/No space left|Error/g) ?? []).length
        await play.killBroker()
        await pause(2_000)
        rmSync(ballast)
        say(`${time} of ${times}: space freed; ${play.ledger.answered} requests answered`)
        await pause(2_000)
      }
      const verdict = await play.end(quick ? 8_000 : 20_000)
      findings.ran('times', times, 10)
      findings.figure('requests', verdict.requests)
      findings.figure('outcomes', JSON.stringify(verdict.outcomes))
      findings.figure('sdk_unanswered', verdict.unansweredSdk)
      findings.figure('raw_lost', verdict.unanswered + verdict.unansweredByBrokerKill)
      findings.figure('errors_in_broker_log', fullErrors)
      findings.figure('sessions_lost', play.connector.count('session_lost'))
      findings.check(verdict.unansweredSdk === 0, `${verdict.unansweredSdk} unanswered SDK requests`)
      findings.check(verdict.crossed + verdict.phantom === 0, 'crossed or phantom replies')
      findings.check(play.connector.deaths.length === 0, play.connector.deaths.join('; '))
      return findings.result
    }),
}

/** Disconnects the connector until the broker's queue overflows. */
export const brokerQueueFull: Row = {
  name: 'broker-queue-full',
  what: 'max_queued_messages 200; the connector is stopped for 60 s (--quick: 6 s) at 100 requests/s; first with raw clients, then with SDK clients',
  criterion:
    "unanswered raw requests = messages that the broker's $SYS reports as dropped; 0 unanswered SDK requests; 0 crossed replies",
  fullSeconds: 240,
  isTimed: false,
  run: async (options) => {
    const { quick, say } = options
    const seconds = amountOf(options, 60, 6)
    const findings = new Findings()
    for (const kind of ['raw', 'sdk'] as const) {
      await onStage(async (stage) => {
        const play = await startUnderLoad(stage, {
          broker: {
            isInMemory: true,
            config: ['max_queued_messages 200', 'max_inflight_messages 2000', ...PUBLISHES_DROPS],
          },
          requests: 200_000,
          requestsPerSecond: 100,
          rawClients: kind === 'raw' ? 10 : 0,
          sdkClients: kind === 'sdk' ? 10 : 0,
          inFlightMax: 20_000,
        })
        const dropsSoFar = await watchDrops(stage, play.broker)
        await until(() => play.ledger.answered > 100, 10_000)
        await play.connector.end('SIGKILL')
        await pause(seconds * 1000)
        await play.connector.startReady()
        await pause(2_000)
        const verdict = await play.end(quick ? 8_000 : 20_000)
        const dropped = await dropsSoFar()
        say(
          `${kind}: ${verdict.requests} requests, ${dropped} dropped, ${verdict.unanswered + verdict.unansweredSdk} unanswered`,
        )
        findings.ran(`${kind}: seconds_away`, seconds, 60)
        findings.figure(`${kind}: requests`, verdict.requests)
        findings.figure(`${kind}: sys_dropped`, dropped)
        findings.figure(`${kind}: outcomes`, JSON.stringify(verdict.outcomes))
        findings.figure(`${kind}: unanswered`, kind === 'raw' ? verdict.unanswered : verdict.unansweredSdk)
        findings.figure(`${kind}: expired`, verdict.expired)
        findings.check(dropped > 0, `${kind}: no message was dropped`)
        findings.check(verdict.crossed + verdict.phantom === 0, `${kind}: crossed or phantom replies`)
        findings.check(verdict.unansweredSdk === 0, `${verdict.unansweredSdk} unanswered SDK requests`)
        // Dropped requests with a short deadline count as expired, not as unanswered. More requests may therefore
        // have been dropped than are unanswered.
        const isExplained = verdict.unanswered <= dropped && dropped <= verdict.unanswered + verdict.expired
        if (kind === 'raw')
          findings.check(
            isExplained,
            `${verdict.unanswered} requests are unanswered, but ${dropped} were dropped`,
          )
      })
    }
    return findings.result
  },
}

// Mounts a file system in the run's mount namespace (cli.ts), so that it is unmounted when the process exits.
function mountSmallDisk(stage: Stage): string {
  const folder = tempFolder('disk')
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'none', folder], { stdio: 'pipe' })
  } catch (error) {
    throw new Error('A small file system cannot be mounted; this row needs root.', { cause: error })
  }
  stage.later(() => execFileSync('umount', ['-l', folder]))
  return folder
}

// Changes the folder for temporary files, in which the broker's folder is created.
async function withTempFolderAt<T>(folder: string, act: () => Promise<T>): Promise<T> {
  const before = process.env['TMPDIR']
  process.env['TMPDIR'] = folder
  try {
    return await act()
  } finally {
    if (before === undefined) delete process.env['TMPDIR']
    else process.env['TMPDIR'] = before
  }
}

function fill(path: string): void {
  const file = openSync(path, 'w')
  try {
    for (;;) writeSync(file, Buffer.alloc(65_536))
  } catch {
    // ENOSPC is expected, because the disk is full.
  } finally {
    closeSync(file)
  }
}
