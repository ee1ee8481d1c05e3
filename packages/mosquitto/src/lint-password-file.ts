// Finds mistakes in a password file.
import { parsePasswordFile, type PasswordLine, type UserLine } from './password-file.ts'
import { hasLongSalt, ITERATIONS_ADVISED_MAX, ITERATIONS_MAX, type HashDefect } from './password-hash.ts'
import { isPlainUserName, userNameMistake } from './user-name.ts'

/** One finding. */
export interface LintFinding {
  /** The line number, counted from 1; undefined for a finding about the whole file. */
  readonly line: number | undefined
  /** `error`: a user cannot log in, a user's name is not the intended one, or a broker does not start. */
  readonly level: 'error' | 'warning'
  readonly code: LintCode
  /** The mistake, without file and line. */
  readonly message: string
  /** How to correct the mistake. */
  readonly remedy: string
}

/** The kinds of findings. */
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

// Findings about hashes that mosquitto_passwd 2.1 generates; a 2.0 broker ignores users with such hashes.
const ONLY_2_1: ReadonlySet<LintCode> = new Set(['long_salt', 'argon2id'])

/**
 * Returns whether these findings mean that a broker of this release line rejects part of the file, or refuses a login.
 */
export function isRefused(findings: readonly LintFinding[], version: '2.0' | '2.1'): boolean {
  return findings.some(({ level, code }) => level === 'error' && !(version === '2.1' && ONLY_2_1.has(code)))
}

const SET_AGAIN = 'Set the password again: inferwire passwd FILE USER'

/** Returns all findings, in the order of the lines. U+FFFD in the text stands for bytes that are not UTF-8. */
export function lintPasswordFile(text: string): LintFinding[] {
  const { lines } = parsePasswordFile(text)
  const userLines = lines.filter((line) => line.kind === 'user')
  if (userLines.length === 0) {
    return [
      error(
        undefined,
        'empty_file',
        'the file contains no user: every login fails',
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

/** Returns findings about the file's permissions; `mode` is the value from `stat`. */
export function lintPermissions(file: {
  readonly mode: number
  readonly isSymbolicLink: boolean
}): LintFinding[] {
  const findings: LintFinding[] = []
  const shown = (file.mode & 0o777).toString(8).padStart(4, '0')
  if ((file.mode & 0o022) !== 0) {
    const message = `users other than the owner can write to the file (mode ${shown}): they can add and replace users`
    findings.push(
      error(undefined, 'permissions', message, 'chmod 0600 FILE, or 0640 if the broker is in the group'),
    )
  } else if ((file.mode & 0o007) !== 0) {
    const message = `all users of this machine can read the file (mode ${shown}): Mosquitto has warned about this since 2.0.16, and will reject the file in a future version`
    findings.push(
      warning(undefined, 'permissions', message, 'chmod 0600 FILE, or 0640 if the broker is in the group'),
    )
  }
  if (file.isSymbolicLink) {
    const message = 'the file is a symbolic link: Mosquitto 2.1 does not follow the link, and does not start'
    const remedy =
      'Use the path of the file itself, or set MOSQUITTO_UNSAFE_ALLOW_SYMLINKS=1 for the broker (2.1.1 and later).'
    findings.push(warning(undefined, 'symbolic_link', message, remedy))
  }
  return findings
}

function lintLine(line: PasswordLine): LintFinding[] {
  const { number } = line
  const findings = lintCharacters(line)
  if (line.kind === 'no_colon') {
    const message = 'the line has no ":" between user and hash: Mosquitto ignores it'
    findings.push(
      error(
        number,
        'missing_colon',
        message,
        'Write USER:PASSWORD and run inferwire passwd -U FILE, or remove the line.',
      ),
    )
  }
  if (line.kind === 'user') findings.push(...lintUser(line), ...lintHash(line))
  return findings
}

function lintCharacters({ number, text }: PasswordLine): LintFinding[] {
  const findings: LintFinding[] = []
  if (number === 1 && text.startsWith('\ufeff')) {
    const message = 'the file begins with a byte order mark, which becomes part of the first user name'
    findings.push(error(1, 'byte_order_mark', message, 'Save it as UTF-8 without BOM.'))
  }
  if (text.endsWith('\r')) {
    const message = 'the line ends with CR LF'
    findings.push(
      warning(
        number,
        'carriage_return',
        message,
        "Mosquitto accepts such lines, other tools do not. To convert the file: sed -i 's/\\r$//' FILE",
      ),
    )
  }
  if (text.includes('\0')) {
    const message = 'the line contains a NUL character: Mosquitto ignores the rest of the line'
    findings.push(error(number, 'nul', message, SET_AGAIN))
  } else if (/[\u0001-\u0008\u000a-\u001f\u007f]/.test(text.replace(/\r$/, ''))) {
    findings.push(error(number, 'control_character', 'the line contains a control character', SET_AGAIN))
  }
  if (text.includes('\ufffd')) {
    const message = 'the line is not UTF-8, which MQTT requires for user names'
    findings.push(error(number, 'not_utf8', message, 'Save it as UTF-8, or set the password again.'))
  }
  return findings
}

function lintUser({ number, user, text }: UserLine): LintFinding[] {
  const mistake = userNameMistake(user)
  if (mistake !== undefined) {
    const remedy =
      'Remove the line, and create a user whose name is one topic level, preferably of letters, digits and _ . @ -'
    return [error(number, 'user_name', `user ${shown(user)} ${mistake}`, remedy)]
  }
  if (!text.startsWith(`${user}:`)) {
    const message = `white space surrounds the user ${shown(user)}: Mosquitto removes it, but mosquitto_passwd does not find the user`
    return [warning(number, 'user_name_unusual', message, SET_AGAIN)]
  }
  if (isPlainUserName(user) || user.startsWith('\ufeff')) return []
  const message = `user ${shown(user)} has characters other than letters, digits and _ . @ -, or more than 64 characters`
  return [
    warning(
      number,
      'user_name_unusual',
      message,
      'The name works, but may need escaping in shells and policies, and similar characters are easily confused.',
    ),
  ]
}

function lintHash({ number, user, secret, hash }: UserLine): LintFinding[] {
  if (typeof hash === 'string') return [hashDefect(number, user, secret, hash)]
  if (hash.algorithm === 'argon2id') {
    const message = `user ${shown(user)} has an argon2id hash, which only Mosquitto 2.1 supports: 2.0 ignores the user`
    return [
      error(
        number,
        'argon2id',
        message,
        'For 2.0 and inferwire dev, set the password again: inferwire passwd FILE USER',
      ),
    ]
  }
  const findings: LintFinding[] = []
  if (hasLongSalt(hash)) {
    const message = `user ${shown(user)} has a salt of 64 bytes, as generated by mosquitto_passwd 2.1: Mosquitto 2.0 ignores the user`
    findings.push(error(number, 'long_salt', message, SET_AGAIN))
  }
  if (hash.algorithm === 'sha512-pbkdf2' && hash.iterations > ITERATIONS_ADVISED_MAX) {
    const message = `user ${shown(user)} has a hash with ${hash.iterations} iterations, which block the broker at every CONNECT`
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
  const ofUser = (what: string): string => `user ${shown(user)} ${what}`
  if (secret === '') return error(number, 'no_password', ofUser('has no password'), SET_AGAIN)
  // base64 contains no colon, so a colon here means that two lines were joined.
  if (defect !== 'plain_text' && /:\$[67]\$/.test(secret)) {
    return error(
      number,
      'two_users',
      ofUser('shares the line with another user'),
      'A line break is missing: insert it before the second user.',
    )
  }
  const messages: Record<HashDefect, string> = {
    plain_text: 'has a password in plain text, or in an unknown format: Mosquitto ignores the user',
    hash_form: 'has a hash with too few or too many parts between "$"',
    iterations: `has a number of iterations that is not between 1 and ${ITERATIONS_MAX}`,
    base64: 'has a salt or a hash that is not base64',
    salt_length: 'has a salt that is neither 12 nor 64 bytes long',
    hash_length: 'has a hash that is not 64 bytes long',
  }
  const remedy = defect === 'plain_text' ? 'Hash it: inferwire passwd -U FILE' : SET_AGAIN
  return error(number, defect, ofUser(messages[defect]), remedy)
}

// Observed with mosquitto_passwd 2.0.11: the new file ends at an empty line or a comment without a colon. No
// message is printed.
function skippedLine({ kind, number, text }: PasswordLine, lastUserLine: number): LintFinding[] {
  const isBlank = kind === 'blank'
  if (number > lastUserLine || (!isBlank && (kind !== 'comment' || text.includes(':')))) return []
  const what = isBlank ? 'the line is empty' : 'the comment has no ":"'
  const message = `${what}: when mosquitto_passwd 2.0 sets a password, it deletes all users below this line`
  const remedy = isBlank
    ? 'Remove the line.'
    : 'Add a ":" to the comment, or change the file only with inferwire passwd.'
  return [warning(number, isBlank ? 'blank_line' : 'comment_without_colon', message, remedy)]
}

function duplicate(line: PasswordLine, lastNumberOf: ReadonlyMap<string, number>): LintFinding[] {
  if (line.kind !== 'user') return []
  const last = lastNumberOf.get(line.user)!
  if (last === line.number) return []
  const message = `user ${shown(line.user)} is repeated in line ${last}: only the last line is used`
  return [error(line.number, 'duplicate_user', message, 'Remove one of the lines.')]
}

function lintEnd(text: string, lineCount: number): LintFinding[] {
  if (text.endsWith('\n')) return []
  const message = 'the file does not end with a line feed: appended text would become part of the last line'
  return [warning(lineCount, 'missing_line_feed', message, 'Add a line feed: echo >> FILE')]
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
