# GNT_PYTHON_PACKAGES([[PACKAGE, MODULE], …])
#
# Require that $PYTHON has each PACKAGE in the version that pyproject.toml asks for, and can import
# MODULE of it. Everything that is missing is reported at once.
AC_DEFUN([GNT_PYTHON_PACKAGES],
  [gnt_missing=
   m4_foreach([gnt_pair], [$1], [_GNT_PYTHON_PACKAGE(gnt_pair)
])
   AS_IF([test -n "$gnt_missing"],
     [AC_MSG_ERROR([these Python packages are missing or do not work:$gnt_missing
Install them for $PYTHON, or choose another one: ./configure PYTHON=/path/to/python3])])])

AC_DEFUN([_GNT_PYTHON_PACKAGE],
  [AC_MSG_CHECKING([for the Python package $1])
   gnt_found=`PYTHONDONTWRITEBYTECODE=1 $PYTHON "$srcdir/tools/requirements.py" --check $1 $2`
   AS_IF([test $? = 0], [], [gnt_missing="$gnt_missing $1"])
   AC_MSG_RESULT([$gnt_found])])
