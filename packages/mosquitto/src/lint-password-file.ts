// What is wrong with a password file, found before a broker meets it.
import { parsePasswordFile, type PasswordLine, type UserLine } from './password-file.ts'
import { hasLongSalt, ITERATIONS_ADVISED_MAX, ITERATIONS_MAX, type HashDefect } from './password-hash.ts'
import { isPlainUserName, userNameMistake } from './user-name.ts'

/** One finding. */
export interface LintFinding {
  /** Counted from 1; undefined where it is about the whole file. */
  readonly line: number | undefined
  /** `error`: somebody cannot log in, or is not who it seems, or a broker does not start. */
  readonly level: 'error' | 'warning'
  readonly code: LintCode
  /** What is wrong, without line and file. */
  readonly message: string
  /** What to do. */
  readonly remedy: string
}

/** What can be found. */
export type LintCode =
  | HashDefect
  | 'argon2id'
  | 'blank_line'
  | 'byte_order_mark'
  | 'carriage_return'
  | 'comment_without_colon'
  | 'control_character'
  | 'duplicate_user'
  | 'empty_file'
  | 'iterations_high'
  | 'long_salt'
  | 'missing_colon'
  | 'missing_line_feed'
  | 'no_password'
  | 'not_utf8'
  | 'nul'
  | 'permissions'
  | 'symbolic_link'
  | 'two_users'
  | 'user_name'
  | 'user_name_unusual'

// A broker of 2.0 drops users with these hashes; 2.1 made them.
const ONLY_2_1: ReadonlySet<LintCode> = new Set(['long_salt', 'argon2id'])

/** Whether a broker of this line would not take all of the file, or somebody could not log in. */
export function isRefused(findings: readonly LintFinding[], version: '2.0' | '2.1'): boolean {
  return findings.some(({ level, code }) => level === 'error' && !(version === '2.1' && ONLY_2_1.has(code)))
}

const SET_AGAIN = 'Set the password again: inferwire passwd FILE USER'

/** All findings, in the order of the lines. Bytes that are not UTF-8 are expected as U+FFFD. */
export function lintPasswordFile(text: string): LintFinding[] {
  const { lines } = parsePasswordFile(text)
  const userLines = lines.filter((line) => line.kind === 'user')
  if (userLines.length === 0) {
    return [
      error(
        undefined,
        'empty_file',
        'no line has a user: nobody can log in',
        'Add one: inferwire passwd FILE USER',
      ),
      ...lines.flatMap(lintLine),
    ]
  }
  const lastNumberOf = new Map(userLines.map(({ user, number }) => [user, number]))
  const lastUserLine = userLines.at(-1)!.number
  return [
    ...lines.flatMap((line) => [
      ...lintLine(line),
      ...skippedLine(line, lastUserLine),
      ...duplicate(line, lastNumberOf),
    ]),
    ...lintEnd(text, lines.length),
  ]
}

/** Findings about the file itself; `mode` as `stat` gives it. */
export function lintPermissions(file: {
  readonly mode: number
  readonly isSymbolicLink: boolean
}): LintFinding[] {
  const findings: LintFinding[] = []
  const shown = (file.mode & 0o777).toString(8).padStart(4, '0')
  if ((file.mode & 0o022) !== 0) {
    const message = `others than the owner may write the file (mode ${shown}): they can give themselves any user`
    findings.push(
      error(undefined, 'permissions', message, 'chmod 0600 FILE; 0640 for a group that the broker is in'),
    )
  } else if ((file.mode & 0o007) !== 0) {
    const message = `everybody on this machine may read the file (mode ${shown}): Mosquitto warns since 2.0.16, and says that it will refuse`
    findings.push(
      warning(undefined, 'permissions', message, 'chmod 0600 FILE; 0640 for a group that the broker is in'),
    )
  }
  if (file.isSymbolicLink) {
    const message = 'the file is a symbolic link: Mosquitto 2.1 does not follow it, and does not start'
    const remedy =
      'Name the file itself, or set MOSQUITTO_UNSAFE_ALLOW_SYMLINKS=1 for the broker (from 2.1.1).'
    findings.push(warning(undefined, 'symbolic_link', message, remedy))
  }
  return findings
}

function lintLine(line: PasswordLine): LintFinding[] {
  const { number } = line
  const findings = lintCharacters(line)
  if (line.kind === 'no_colon') {
    const message = 'there is no ":" between user and hash: Mosquitto skips the line'
    findings.push(
      error(
        number,
        'missing_colon',
        message,
        'Write USER:PASSWORD and run inferwire passwd -U FILE, or take the line out.',
      ),
    )
  }
  if (line.kind === 'user') findings.push(...lintUser(line), ...lintHash(line))
  return findings
}

function lintCharacters({ number, text }: PasswordLine): LintFinding[] {
  const findings: LintFinding[] = []
  if (number === 1 && text.startsWith('\ufeff')) {
    const message = 'the file begins with a byte order mark, which becomes a part of the first user name'
    findings.push(error(1, 'byte_order_mark', message, 'Save it as UTF-8 without BOM.'))
  }
  if (text.endsWith('\r')) {
    const message = 'the line ends with CR LF'
    findings.push(
      warning(
        number,
        'carriage_return',
        message,
        "Mosquitto cuts it off, other tools do not: sed -i 's/\\r$//' FILE",
      ),
    )
  }
  if (text.includes('\0')) {
    const message = 'there is a NUL character: Mosquitto reads the line only up to it'
    findings.push(error(number, 'nul', message, SET_AGAIN))
  } else if (/[\u0001-\u0008\u000a-\u001f\u007f]/.test(text.replace(/\r$/, ''))) {
    findings.push(error(number, 'control_character', 'there is a control character', SET_AGAIN))
  }
  if (text.includes('\ufffd')) {
    const message = 'the bytes are not UTF-8, as user names in MQTT must be'
    findings.push(error(number, 'not_utf8', message, 'Save it as UTF-8, or set the password again.'))
  }
  return findings
}

function lintUser({ number, user, text }: UserLine): LintFinding[] {
  const mistake = userNameMistake(user)
  if (mistake !== undefined) {
    const remedy =
      'Take the line out and make a user whose name is one topic level, best of letters, digits and _ . @ -'
    return [error(number, 'user_name', `user ${shown(user)} ${mistake}`, remedy)]
  }
  if (!text.startsWith(`${user}:`)) {
    const message = `there is white space around user ${shown(user)}: Mosquitto cuts it off, but mosquitto_passwd will not find the user`
    return [warning(number, 'user_name_unusual', message, SET_AGAIN)]
  }
  if (isPlainUserName(user) || user.startsWith('\ufeff')) return []
  const message = `user ${shown(user)} has other characters than letters, digits and _ . @ -, or more than 64`
  return [
    warning(
      number,
      'user_name_unusual',
      message,
      'It works, but take care in shells, in policies, and with look-alikes.',
    ),
  ]
}

function lintHash({ number, user, secret, hash }: UserLine): LintFinding[] {
  if (typeof hash === 'string') return [hashDefect(number, user, secret, hash)]
  if (hash.algorithm === 'argon2id') {
    const message = `user ${shown(user)} has an argon2id hash: only Mosquitto 2.1 knows it, 2.0 drops the user`
    return [error(number, 'argon2id', message, 'For 2.0, and for inferwire dev: inferwire passwd FILE USER')]
  }
  const findings: LintFinding[] = []
  if (hasLongSalt(hash)) {
    const message = `user ${shown(user)} has a salt of 64 bytes, as the tool of Mosquitto 2.1 makes it: Mosquitto 2.0 drops the user`
    findings.push(error(number, 'long_salt', message, SET_AGAIN))
  }
  if (hash.algorithm === 'sha512-pbkdf2' && hash.iterations > ITERATIONS_ADVISED_MAX) {
    const message = `user ${shown(user)} has ${hash.iterations} iterations: the broker does nothing else while it computes them, at every CONNECT`
    findings.push(
      warning(
        number,
        'iterations_high',
        message,
        `Use at most ${ITERATIONS_ADVISED_MAX}: inferwire passwd -I 20000 FILE USER`,
      ),
    )
  }
  return findings
}

function hashDefect(number: number, user: string, secret: string, defect: HashDefect): LintFinding {
  const says = (what: string): string => `user ${shown(user)} ${what}`
  if (secret === '') return error(number, 'no_password', says('has no password'), SET_AGAIN)
  // base64 has no colon: another line must have followed here.
  if (defect !== 'plain_text' && /:\$[67]\$/.test(secret)) {
    return error(
      number,
      'two_users',
      says('shares the line with another user'),
      'A line feed was lost: break the line before the second user.',
    )
  }
  const messages: Record<HashDefect, string> = {
    plain_text:
      'has a password in plain text, or in a format that Mosquitto does not know: it drops the user',
    hash_form: 'has a hash with too few or too many parts between "$"',
    iterations: `has no number of iterations from 1 to ${ITERATIONS_MAX}`,
    base64: 'has a salt or a hash that is not base64',
    salt_length: 'has a salt that is neither 12 nor 64 bytes long',
    hash_length: 'has a hash that is not 64 bytes long',
  }
  const remedy = defect === 'plain_text' ? 'Hash it: inferwire passwd -U FILE' : SET_AGAIN
  return error(number, defect, says(messages[defect]), remedy)
}

// Found by running it: mosquitto_passwd 2.0.11 ends the new file there, and says nothing.
function skippedLine({ kind, number, text }: PasswordLine, lastUserLine: number): LintFinding[] {
  const isBlank = kind === 'blank'
  if (number > lastUserLine || (!isBlank && (kind !== 'comment' || text.includes(':')))) return []
  const what = isBlank ? 'the line is empty' : 'the comment has no ":"'
  const message = `${what}: mosquitto_passwd 2.0 drops all users below it when it sets a password`
  const remedy = isBlank
    ? 'Take the line out.'
    : 'Put a ":" into the comment, or change the file only with inferwire passwd.'
  return [warning(number, isBlank ? 'blank_line' : 'comment_without_colon', message, remedy)]
}

function duplicate(line: PasswordLine, lastNumberOf: ReadonlyMap<string, number>): LintFinding[] {
  if (line.kind !== 'user') return []
  const last = lastNumberOf.get(line.user)!
  if (last === line.number) return []
  const message = `user ${shown(line.user)} comes again in line ${last}: only the last one counts`
  return [error(line.number, 'duplicate_user', message, 'Take one of the lines out.')]
}

function lintEnd(text: string, lineCount: number): LintFinding[] {
  if (text.endsWith('\n')) return []
  const message = 'there is no line feed at the end: what is appended lands in the last line'
  return [warning(lineCount, 'missing_line_feed', message, 'End the file with a line feed: echo >> FILE')]
}

function shown(user: string): string {
  return `"${user.length > 64 ? `${user.slice(0, 64)}…` : user}"`
}

function error(line: number | undefined, code: LintCode, message: string, remedy: string): LintFinding {
  return { line, level: 'error', code, message, remedy }
}

function warning(line: number | undefined, code: LintCode, message: string, remedy: string): LintFinding {
  return { line, level: 'warning', code, message, remedy }
}
