# SPDX-License-Identifier: BSD-2-Clause
# Completion for bash: the tools themselves say what may be typed next (see doc/install.md).

_ganeti_complete() {
	local -a reply=()
	mapfile -t reply < <("$1" --complete bash "${COMP_LINE:0:COMP_POINT}" "$COMP_WORDBREAKS" \
		</dev/null 2>/dev/null)
	# Words that are complete end with a space, all is quoted already.
	compopt -o nospace 2>/dev/null
	COMPREPLY=("${reply[@]:1}")
	((${#COMPREPLY[@]})) && return
	case ${reply[0]-} in
		files) compopt +o nospace -o default 2>/dev/null ;;
		folders) compopt +o nospace -o dirnames 2>/dev/null ;;
	esac
}

complete -F _ganeti_complete gnt-access gnt-backup gnt-cluster gnt-debug gnt-filter gnt-group \
	gnt-instance gnt-job gnt-network gnt-node gnt-os gnt-storage
